package main

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// contend tells a story of sessions, locks and elections, a line for each thing that happened: the same line with every
// server that does the same.
func contend(ctx context.Context, client *clientv3.Client) {
	one, two := session(client, 4), session(client, 4)
	locks(ctx, one, two)
	elections(ctx, client, one, two)
	// Longer than a session lives without heartbeats.
	time.Sleep(5 * time.Second)
	for _, each := range []*concurrency.Session{one, two} {
		left, err := client.TimeToLive(ctx, each.Lease())
		check("time to live", err)
		fmt.Println("session lives:", left.TTL > 0, "over:", isOver(each))
	}
	loss(ctx, client, one, two)
}

func session(client *clientv3.Client, ttl int) *concurrency.Session {
	made, err := concurrency.NewSession(client, concurrency.WithTTL(ttl))
	check("session", err)
	return made
}

func locks(ctx context.Context, one, two *concurrency.Session) {
	first, second := concurrency.NewMutex(one, "contend/lock"), concurrency.NewMutex(two, "contend/lock")
	check("lock", first.Lock(ctx))
	fmt.Println("try:", second.TryLock(ctx))
	soon, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	fmt.Println("lock in time:", second.Lock(soon))
	cancel()
	impatient, giveUp := context.WithCancel(ctx)
	time.AfterFunc(300*time.Millisecond, giveUp)
	fmt.Println("lock, cancelled:", second.Lock(impatient))
	got := make(chan error)
	go func() { got <- second.Lock(ctx) }()
	check("unlock", first.Unlock(ctx))
	fmt.Println("lock, its turn:", <-got)
	fmt.Println("try:", first.TryLock(ctx))
	check("unlock", second.Unlock(ctx))
	fmt.Println("try:", first.TryLock(ctx))
	check("unlock", first.Unlock(ctx))
}

func elections(ctx context.Context, client *clientv3.Client, one, two *concurrency.Session) {
	first, second := concurrency.NewElection(one, "contend/elect"), concurrency.NewElection(two, "contend/elect")
	_, err := first.Leader(ctx)
	fmt.Println("leader:", err)
	observing, stop := context.WithCancel(ctx)
	defer stop()
	seen := second.Observe(observing)
	check("campaign", first.Campaign(ctx, "one"))
	fmt.Println("observed:", string((<-seen).Kvs[0].Value))
	check("proclaim", first.Proclaim(ctx, "one again"))
	fmt.Println("observed:", string((<-seen).Kvs[0].Value))
	soon, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	fmt.Println("campaign in time:", second.Campaign(soon, "two"))
	cancel()
	won := make(chan error)
	go func() { won <- second.Campaign(ctx, "two") }()
	check("resign", first.Resign(ctx))
	fmt.Println("campaign, its turn:", <-won)
	fmt.Println("observed:", string((<-seen).Kvs[0].Value))
	leader, err := first.Leader(ctx)
	check("leader", err)
	fmt.Println("leader:", string(leader.Kvs[0].Value))
	fmt.Println("proclaim, without winning:", first.Proclaim(ctx, "one"))
	check("resign", second.Resign(ctx))
	left, err := client.Get(ctx, "contend/elect", clientv3.WithPrefix(), clientv3.WithCountOnly())
	check("get", err)
	fmt.Println("candidates left:", left.Count)
}

// loss takes a session's lease away: its lock is free, and it hears of it.
func loss(ctx context.Context, client *clientv3.Client, one, two *concurrency.Session) {
	check("lock", concurrency.NewMutex(one, "contend/loss").Lock(ctx))
	heir := concurrency.NewMutex(two, "contend/loss")
	got := make(chan error)
	go func() { got <- heir.Lock(ctx) }()
	_, err := client.Revoke(ctx, one.Lease())
	check("revoke", err)
	fmt.Println("lock, of a lease that is over:", <-got)
	select {
	case <-one.Done():
		fmt.Println("session over")
	case <-ctx.Done():
		check("session", ctx.Err())
	}
	_, err = client.KeepAliveOnce(ctx, one.Lease())
	fmt.Println("keep alive once:", err)
	check("unlock", heir.Unlock(ctx))
	alive, err := client.KeepAliveOnce(ctx, two.Lease())
	check("keep alive once", err)
	fmt.Println("keep alive once:", alive.TTL)
	check("close", two.Close())
	fmt.Println("session over:", isOver(two))
}

func isOver(session *concurrency.Session) bool {
	select {
	case <-session.Done():
		return true
	default:
		return false
	}
}

// hold takes a lock and holds it for a while, whatever happens to servers meanwhile.
func hold(ctx context.Context, client *clientv3.Client, span time.Duration) {
	held := session(client, 5)
	mutex := concurrency.NewMutex(held, "contend/hold")
	check("lock", mutex.Lock(ctx))
	fmt.Println("holding")
	select {
	case <-held.Done():
		check("session", fmt.Errorf("over"))
	case <-time.After(span):
	}
	check("unlock", mutex.Unlock(ctx))
	fmt.Println("held")
}
