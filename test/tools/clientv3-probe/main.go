// Program clientv3-probe uses etcd's own Go client the way applications do, over TLS if it is given certificates: it
// writes, reads, watches, keeps a lease alive, takes a lock, and prints one line for each that went well. The first
// failure ends it. With -contend it tells of sessions, locks and elections instead, with -edges it prints what ranges of
// every kind give, with -names which endpoints are registered, and with -hold it holds a lock. With -watch it watches a prefix, and prints what happens for as long as
// it lives.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
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
	user := flag.String("user", "", "name:password of a user")
	prefix := flag.String("watch", "", "watch this prefix")
	contends := flag.Bool("contend", false, "tell of sessions, locks and elections")
	holds := flag.Duration("hold", 0, "hold a lock for so long")
	ranges := flag.Bool("edges", false, "print what ranges of every kind give")
	named := flag.String("names", "", "tell which endpoints are registered below this prefix")
	space := flag.String("namespace", "", "with -edges, the client's own namespace")
	flag.Parse()
	config := clientv3.Config{Endpoints: strings.Split(*endpoint, ","), DialTimeout: 10 * time.Second}
	config.Username, config.Password, _ = strings.Cut(*user, ":")
	if *cert != "" {
		info := transport.TLSInfo{CertFile: *cert, KeyFile: *key, TrustedCAFile: *ca}
		tls, err := info.ClientConfig()
		check("tls", err)
		config.TLS = tls
	}
	client, err := clientv3.New(config)
	check("dial", err)
	defer client.Close()
	if *prefix != "" {
		follow(client, *prefix)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if *contends {
		contend(ctx, client)
		return
	}
	if *named != "" {
		names(ctx, client, *named)
		return
	}
	if *holds > 0 {
		hold(ctx, client, *holds)
		return
	}
	if *ranges {
		edges(ctx, client, *space)
		return
	}
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

// follow watches until the client gives the watch up, which is a failure.
func follow(client *clientv3.Client, prefix string) {
	for response := range client.Watch(context.Background(), prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify()) {
		if response.Created {
			fmt.Println("watching")
		}
		check("watch", response.Err())
		for _, event := range response.Events {
			fmt.Println("event", string(event.Kv.Key), string(event.Kv.Value))
		}
	}
	check("watch", fmt.Errorf("given up"))
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
