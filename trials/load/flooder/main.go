// Floods a server with connections, at a rate that does not wait for it, and reports as JSON what
// came of them. It is written in Go since it must cost less than what it floods: both share the
// processors of one machine.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

type report struct {
	Milliseconds int64 `json:"milliseconds"`
	Opened       int   `json:"opened"`
	// How many were answered with which status.
	Statuses          map[string]int `json:"statuses"`
	WithoutRetryAfter int            `json:"withoutRetryAfter"`
	// Closed or reset without an answer.
	Closed int `json:"closed"`
	// Left waiting for as long as anybody would.
	Unanswered int `json:"unanswered"`
}

const (
	patience = 5 * time.Second
	request  = "GET /?topic=flood HTTP/1.1\r\nHost: load\r\nAccept: text/event-stream\r\n\r\n"
)

var (
	mutex sync.Mutex
	made  = report{Statuses: map[string]int{}}
	// Who got in stays until the end.
	inside []net.Conn
)

// Half of them come from one address, half from a thousand.
func source(number int) net.IP {
	if number%2 == 0 {
		return net.IPv4(127, 0, 9, 1)
	}
	many := number / 2 % 1000
	return net.IPv4(127, 1, byte(many/250), byte(many%250+1))
}

func knock(number int, server *net.TCPAddr) {
	status, retryAfter, stays, err := ask(&net.TCPAddr{IP: source(number)}, server)
	mutex.Lock()
	defer mutex.Unlock()
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		made.Unanswered++
	case err != nil:
		made.Closed++
	default:
		made.Statuses[fmt.Sprint(status)]++
		if stays != nil {
			inside = append(inside, stays)
		} else if retryAfter == "" {
			made.WithoutRetryAfter++
		}
	}
}

func ask(from, server *net.TCPAddr) (int, string, net.Conn, error) {
	dialer := net.Dialer{LocalAddr: from, Timeout: patience}
	conn, err := dialer.Dial("tcp4", server.String())
	if err != nil {
		return 0, "", nil, err
	}
	// No address of this machine is kept waiting for a connection that is over.
	conn.(*net.TCPConn).SetLinger(0)
	conn.SetDeadline(time.Now().Add(patience))
	if _, err = io.WriteString(conn, request); err != nil {
		conn.Close()
		return 0, "", nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		conn.Close()
		return 0, "", nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer.StatusCode, "", conn, nil
	}
	conn.Close()
	return answer.StatusCode, answer.Header.Get("Retry-After"), nil, nil
}

func main() {
	port := flag.Int("port", 0, "of the server, on 127.0.0.1")
	rate := flag.Int("rate", 5000, "connections a second")
	lasts := flag.Duration("for", 10*time.Second, "how long")
	flag.Parse()
	server := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: *port}

	var knocking sync.WaitGroup
	start := time.Now()
	for elapsed := time.Duration(0); elapsed < *lasts; elapsed = time.Since(start) {
		for due := int(elapsed.Seconds() * float64(*rate)); made.Opened < due; made.Opened++ {
			knocking.Add(1)
			go func(number int) {
				defer knocking.Done()
				knock(number, server)
			}(made.Opened)
		}
		time.Sleep(time.Millisecond)
	}
	made.Milliseconds = time.Since(start).Milliseconds()
	knocking.Wait()
	json.NewEncoder(os.Stdout).Encode(made)
	// Who started this ends it by closing the input.
	io.Copy(io.Discard, os.Stdin)
}
