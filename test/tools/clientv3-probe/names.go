package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// names prints which endpoints the client has after it has synchronized them, which ones etcd's package of names lists below a
// prefix, and that a call gets through to one of those, which gRPC finds by etcd's resolver.
func names(ctx context.Context, client *clientv3.Client, prefix string) {
	check("sync", client.Sync(ctx))
	found := client.Endpoints()
	slices.Sort(found)
	fmt.Println("sync", strings.Join(found, " "))
	_, err := client.Put(ctx, "synced", "1")
	check("put", err)

	manager, err := endpoints.NewManager(client, prefix)
	check("manager", err)
	listed, err := manager.List(ctx)
	check("list", err)
	var lines []string
	for key, endpoint := range listed {
		lines = append(lines, fmt.Sprintf("name %s %s %v", key, endpoint.Addr, endpoint.Metadata))
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Println(line)
	}

	builder, err := resolver.NewBuilder(client)
	check("resolver", err)
	connection, err := grpc.NewClient("etcd:///"+prefix, grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	check("dial", err)
	defer connection.Close()
	reply, err := pb.NewKVClient(connection).Range(ctx, &pb.RangeRequest{Key: []byte("synced")})
	check("resolved", err)
	fmt.Println("resolved", len(reply.Kvs))
}
