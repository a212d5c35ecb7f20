// The package gorilla/websocket as its examples have it: a server of `compare`, started by it.
// gorilla echo|rpc     says its port on stdout, and ends when its stdin does
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

type request struct {
	Type   string          `json:"type"`
	ID     string          `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

type response struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	OK      bool            `json:"ok"`
	Payload json.RawMessage `json:"payload"`
}

func answered(message []byte) ([]byte, error) {
	var asked request
	if err := json.Unmarshal(message, &asked); err != nil {
		return nil, err
	}
	return json.Marshal(response{Type: "res", ID: asked.ID, OK: true, Payload: asked.Params})
}

func main() {
	isRPC := len(os.Args) > 1 && os.Args[1] == "rpc"
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	http.HandleFunc("/", func(writer http.ResponseWriter, asked *http.Request) {
		socket, err := upgrader.Upgrade(writer, asked, nil)
		if err != nil {
			return
		}
		defer socket.Close()
		for {
			kind, message, err := socket.ReadMessage()
			if err != nil {
				return
			}
			if isRPC {
				if message, err = answered(message); err != nil {
					return
				}
			}
			if socket.WriteMessage(kind, message) != nil {
				return
			}
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := http.Serve(listener, nil); err != nil {
		os.Exit(1)
	}
}
