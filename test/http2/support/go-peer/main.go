// A peer made of Go's own HTTP/2: "server" echoes with trailers, "client URL" calls and checks what comes back.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
)

func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "grpc-status")
		w.WriteHeader(200)
		io.Copy(w, r.Body)
		w.Header().Set("grpc-status", "0")
	}
	server := &http.Server{Handler: http.HandlerFunc(handler), Protocols: protocols()}
	return server.Serve(listener)
}

func call(client *http.Client, url string, size int) error {
	body := bytes.Repeat([]byte{byte(size)}, size)
	request, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("x-size", fmt.Sprint(size))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, body) || response.Trailer.Get("grpc-status") != "0" {
		return fmt.Errorf("size %d: got %d bytes, trailers %v", size, len(got), response.Trailer)
	}
	return nil
}

func calls(url string) error {
	client := &http.Client{Transport: &http.Transport{Protocols: protocols()}}
	for _, size := range []int{0, 1, 260, 70000, 1 << 22} {
		if err := call(client, url, size); err != nil {
			return err
		}
	}
	errs := make(chan error, 200)
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() { errs <- call(client, url, i*100) })
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func main() {
	var err error
	if os.Args[1] == "server" {
		err = serve()
	} else {
		err = calls(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
