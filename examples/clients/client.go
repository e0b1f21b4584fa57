package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	lastID, wait := "", 3*time.Second
	for {
		request, err := http.NewRequest("GET", os.Args[1], nil)
		if err != nil {
			panic(err)
		}
		request.Header.Set("Accept", "text/event-stream")
		if lastID != "" {
			request.Header.Set("Last-Event-ID", lastID)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			if response.StatusCode >= 400 && response.StatusCode < 500 && response.StatusCode != 429 {
				panic(response.Status)
			}
			lines := bufio.NewScanner(response.Body)
			lines.Buffer(nil, 16<<20)
			name, data := "message", []string{}
			for lines.Scan() {
				field, value, _ := strings.Cut(lines.Text(), ":")
				value = strings.TrimPrefix(value, " ")
				switch {
				case lines.Text() == "":
					if len(data) > 0 {
						fmt.Println(name, strings.Join(data, "\n"))
					}
					name, data = "message", nil
				case field == "event":
					name = value
				case field == "data":
					data = append(data, value)
				case field == "id":
					lastID = value
				case field == "retry":
					if millis, err := strconv.Atoi(value); err == nil {
						wait = time.Duration(millis) * time.Millisecond
					}
				}
			}
			response.Body.Close()
		}
		time.Sleep(wait)
	}
}
