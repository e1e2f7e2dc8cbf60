package main

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
)

var (
	edgeKeys = []string{"\x00", "a", "aa", "b", "\xff", "\xff\xff"}
	edgeEnds = []string{"", "\x00", "\x00\x00", "a", "b", "\xff"}
)

// edges prints what ranges of every kind give, be it that the client puts a prefix before its keys, or somebody else does.
func edges(ctx context.Context, client *clientv3.Client, prefix string) {
	kv, watcher, lease := client.KV, client.Watcher, client.Lease
	if prefix != "" {
		kv = namespace.NewKV(client, prefix)
		watcher = namespace.NewWatcher(client, prefix)
		lease = namespace.NewLease(client, prefix)
	}
	granted, err := lease.Grant(ctx, 600)
	check("grant", err)
	fill := func() {
		for _, key := range edgeKeys {
			_, err := kv.Put(ctx, key, "value of "+key, clientv3.WithLease(granted.ID))
			check("put", err)
		}
	}
	events := watcher.Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	<-events
	fill()
	for seen := 0; seen < len(edgeKeys); {
		for _, event := range (<-events).Events {
			fmt.Printf("event %v %q %v\n", event.Type, event.Kv.Key, event.PrevKv == nil)
			seen++
		}
	}
	live, err := lease.TimeToLive(ctx, granted.ID, clientv3.WithAttachedKeys())
	check("time to live", err)
	fmt.Println("keys", len(live.Keys))
	for _, key := range append([]string{""}, edgeKeys...) {
		for _, end := range edgeEnds {
			answer, err := kv.Do(ctx, clientv3.OpGet(key, clientv3.WithRange(end)))
			fmt.Printf("get %q %q: %v", key, end, err)
			if err == nil {
				printPairs(answer.Get().Count, answer.Get().Kvs)
			}
			fmt.Println()
			if key != "" {
				inTxn(ctx, kv, key, end)
			}
			deleted, err := kv.Delete(ctx, key, clientv3.WithRange(end), clientv3.WithPrevKV())
			fmt.Printf("delete %q %q: %v", key, end, err)
			if err == nil {
				printPairs(deleted.Deleted, deleted.PrevKvs)
			}
			fmt.Println()
			fill()
		}
	}
}

// inTxn reads a range within a transaction, or within one within it. An empty key there is refused by etcd; the package
// puts its prefix before it.
func inTxn(ctx context.Context, kv clientv3.KV, key, end string) {
	get := clientv3.OpGet(key, clientv3.WithRange(end))
	compare := clientv3.Compare(clientv3.CreateRevision(key), ">", 0)
	if end != "" {
		compare = compare.WithRange(end)
	}
	txn, err := kv.Txn(ctx).If(compare).Then(get).Else(clientv3.OpTxn(nil, []clientv3.Op{get}, nil)).Commit()
	fmt.Printf("txn %q %q: %v", key, end, err)
	if err == nil {
		fmt.Printf(" %v", txn.Succeeded)
		for _, response := range txn.Responses {
			if inner := response.GetResponseTxn(); inner != nil {
				response = (*clientv3.TxnResponse)(inner).Responses[0]
			}
			printPairs(response.GetResponseRange().Count, response.GetResponseRange().Kvs)
		}
	}
	fmt.Println()
}

func printPairs(count int64, pairs []*mvccpb.KeyValue) {
	fmt.Printf(" %d", count)
	for _, pair := range pairs {
		fmt.Printf(" %q=%q", pair.Key, pair.Value)
	}
}
