// Program clientv3-probe uses etcd's own Go client the way applications do, over TLS if it is given certificates: it
// writes, reads, watches, keeps a lease alive, takes a lock, and prints one line for each that went well. The first
// failure ends it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func main() {
	endpoint := flag.String("endpoint", "", "URL of the server")
	cert := flag.String("cert", "", "certificate of the client")
	key := flag.String("key", "", "its key")
	ca := flag.String("cacert", "", "authority of the server")
	flag.Parse()
	config := clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 10 * time.Second}
	if *cert != "" {
		info := transport.TLSInfo{CertFile: *cert, KeyFile: *key, TrustedCAFile: *ca}
		tls, err := info.ClientConfig()
		check("tls", err)
		config.TLS = tls
	}
	client, err := clientv3.New(config)
	check("dial", err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	keyValue(ctx, client)
	watch(ctx, client)
	lease(ctx, client)
	lock(ctx, client)
}

func keyValue(ctx context.Context, client *clientv3.Client) {
	_, err := client.Put(ctx, "probe/key", "value")
	check("put", err)
	got, err := client.Get(ctx, "probe/key")
	check("get", err)
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "value" {
		check("get", fmt.Errorf("unexpected answer %v", got.Kvs))
	}
	_, err = client.Txn(ctx).If(clientv3.Compare(clientv3.Value("probe/key"), "=", "value")).
		Then(clientv3.OpPut("probe/key", "next")).Commit()
	check("txn", err)
	fmt.Println("kv")
}

func watch(ctx context.Context, client *clientv3.Client) {
	events := client.Watch(ctx, "probe/watched", clientv3.WithCreatedNotify())
	<-events
	_, err := client.Put(ctx, "probe/watched", "seen")
	check("put", err)
	response := <-events
	check("watch", response.Err())
	if len(response.Events) != 1 || string(response.Events[0].Kv.Value) != "seen" {
		check("watch", fmt.Errorf("unexpected events %v", response.Events))
	}
	fmt.Println("watch")
}

func lease(ctx context.Context, client *clientv3.Client) {
	granted, err := client.Grant(ctx, 60)
	check("grant", err)
	alive, err := client.KeepAlive(ctx, granted.ID)
	check("keep alive", err)
	if response := <-alive; response == nil || response.TTL != 60 {
		check("keep alive", fmt.Errorf("unexpected answer %v", response))
	}
	_, err = client.Revoke(ctx, granted.ID)
	check("revoke", err)
	fmt.Println("lease")
}

func lock(ctx context.Context, client *clientv3.Client) {
	session, err := concurrency.NewSession(client)
	check("session", err)
	mutex := concurrency.NewMutex(session, "probe/lock")
	check("lock", mutex.Lock(ctx))
	check("unlock", mutex.Unlock(ctx))
	check("session", session.Close())
	fmt.Println("lock")
}

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}
