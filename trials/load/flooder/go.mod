module unifrost.example/flooder

go 1.19
