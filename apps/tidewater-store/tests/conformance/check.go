// What TiKV's Go client does with a cluster of ours: raw and transactional, in the ways its documentation shows.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tikv/client-go/v2/config"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/rawkv"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"
)

func check(err error, what string) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func must(ok bool, what string, got ...any) {
	if !ok {
		fmt.Println(append([]any{what, "got:"}, got...)...)
		os.Exit(1)
	}
}

func key(prefix string, i int) []byte { return []byte(fmt.Sprintf("%s%06d", prefix, i)) }

func raw(pd string) {
	ctx := context.Background()
	client, err := rawkv.NewClient(ctx, strings.Split(pd, ","), config.DefaultConfig().Security)
	check(err, "raw client")
	defer client.Close()
	client.SetAtomicForCAS(true)
	must(client.ClusterID() != 0, "cluster id", client.ClusterID())
	check(client.DeleteRange(ctx, []byte("raw"), []byte("rax")), "delete range")
	const count = 500
	var keys, values [][]byte
	for i := 0; i < count; i++ {
		keys, values = append(keys, key("raw", i)), append(values, []byte(fmt.Sprintf("value %d", i)))
	}
	check(client.BatchPut(ctx, keys, values), "batch put")
	got, err := client.BatchGet(ctx, keys)
	check(err, "batch get")
	for i := range got {
		must(bytes.Equal(got[i], values[i]), "batch get", i, got[i])
	}
	value, err := client.Get(ctx, []byte("raw nothing"))
	check(err, "get")
	must(value == nil, "a key that is not there", value)
	found, _, err := client.Scan(ctx, []byte("raw"), []byte("rax"), count)
	check(err, "scan")
	must(len(found) == count && bytes.Equal(found[count-1], keys[count-1]), "scan", len(found))
	found, _, err = client.ReverseScan(ctx, []byte("rax"), []byte("raw"), 10)
	check(err, "reverse scan")
	must(len(found) == 10 && bytes.Equal(found[0], keys[count-1]), "reverse scan", len(found))
	previous, swapped, err := client.CompareAndSwap(ctx, keys[0], []byte("wrong"), []byte("new"))
	check(err, "compare and swap")
	must(!swapped && bytes.Equal(previous, values[0]), "compare and swap", swapped, previous)
	previous, swapped, err = client.CompareAndSwap(ctx, keys[0], values[0], []byte("new"))
	check(err, "compare and swap")
	// If an answer was lost the client asks again, and meets its own value.
	must(swapped || bytes.Equal(previous, []byte("new")), "compare and swap", previous)
	check(client.PutWithTTL(ctx, []byte("raw ttl"), []byte("short"), 100), "put with ttl")
	ttl, err := client.GetKeyTTL(ctx, []byte("raw ttl"))
	check(err, "get ttl")
	must(ttl != nil && *ttl > 0 && *ttl <= 100, "ttl", ttl)
	check(client.BatchDelete(ctx, keys[:100]), "batch delete")
	checksum, err := client.Checksum(ctx, []byte("raw"), []byte("rax"))
	check(err, "checksum")
	must(checksum.TotalKvs == count-100+1, "checksum", checksum)
	check(client.DeleteRange(ctx, []byte("raw"), []byte("rax")), "delete range")
	found, _, err = client.Scan(ctx, []byte("raw"), []byte("rax"), count)
	check(err, "scan")
	must(len(found) == 0, "scan after delete range", len(found))
	fmt.Println("client-go raw: ok")
}

type option func(*transaction.KVTxn)

func begin(client *txnkv.Client, options ...option) *transaction.KVTxn {
	txn, err := client.Begin()
	check(err, "begin")
	for _, option := range options {
		option(txn)
	}
	return txn
}

func pessimistic(txn *transaction.KVTxn) { txn.SetPessimistic(true) }
func async(txn *transaction.KVTxn)       { txn.SetEnableAsyncCommit(true) }
func onePhase(txn *transaction.KVTxn)    { txn.SetEnable1PC(true) }

func transactional(pd string) {
	ctx := context.Background()
	client, err := txnkv.NewClient(strings.Split(pd, ","))
	check(err, "transactional client")
	defer client.Close()
	for name, options := range map[string][]option{
		"two phases": nil, "async": {async}, "one phase": {onePhase}, "async and one phase": {async, onePhase},
		"pessimistic": {pessimistic}, "pessimistic async": {pessimistic, async},
	} {
		txn := begin(client, options...)
		for i := 0; i < 300; i++ {
			check(txn.Set(key("txn", i), []byte(name)), "set")
		}
		check(txn.Commit(ctx), name)
		txn = begin(client)
		for i := 0; i < 300; i += 37 {
			value, err := txn.Get(ctx, key("txn", i))
			check(err, "get")
			must(string(value) == name, "get", string(value), name)
		}
		check(txn.Rollback(), "rollback")
	}
	txn := begin(client)
	iterator, err := txn.Iter(key("txn", 0), key("txn", 1000))
	check(err, "iterator")
	count := 0
	for ; iterator.Valid(); count++ {
		check(iterator.Next(), "next")
	}
	must(count == 300, "iterator", count)
	reverse, err := txn.IterReverse(key("txn", 1000))
	check(err, "reverse iterator")
	must(reverse.Valid() && bytes.Equal(reverse.Key(), key("txn", 299)), "reverse iterator")
	_, err = txn.Get(ctx, []byte("txn nothing"))
	must(tikverr.IsErrNotFound(err), "a key that is not there", err)
	found, err := txn.BatchGet(ctx, [][]byte{key("txn", 1), key("txn", 2), []byte("txn nothing")})
	check(err, "batch get")
	must(len(found) == 2, "batch get", len(found))
	check(txn.Rollback(), "rollback")
	conflict(ctx, client)
	bank(ctx, client)
	ts, err := client.CurrentTimestamp(oracle.GlobalTxnScope)
	check(err, "timestamp")
	safe, err := client.GC(ctx, ts-oracle.ComposeTS(int64(time.Minute/time.Millisecond), 0))
	check(err, "garbage collection")
	must(safe != 0, "safe point", safe)
	fmt.Println("client-go transactional: ok")
}

func conflict(ctx context.Context, client *txnkv.Client) {
	one, two := begin(client), begin(client)
	check(one.Set([]byte("txn conflict"), []byte("1")), "set")
	check(two.Set([]byte("txn conflict"), []byte("2")), "set")
	check(one.Commit(ctx), "commit")
	err := two.Commit(ctx)
	var conflict *tikverr.ErrWriteConflict
	must(errors.As(err, &conflict), "a write conflict", err)
}

// Transfers keep the sum, whoever reads it when.
func bank(ctx context.Context, client *txnkv.Client) {
	const accounts, balance = 20, 100
	txn := begin(client)
	for i := 0; i < accounts; i++ {
		check(txn.Set(key("txn bank", i), []byte{balance}), "set")
	}
	check(txn.Commit(ctx), "commit")
	var wait sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		wait.Add(1)
		go func(worker int) {
			defer wait.Done()
			for round := 0; round < 20; round++ {
				transfer(ctx, client, (worker*7+round)%accounts, (worker*3+round*5+1)%accounts, worker%2 == 0)
				sum(ctx, client, accounts, accounts*balance)
			}
		}(worker)
	}
	wait.Wait()
}

func transfer(ctx context.Context, client *txnkv.Client, from, to int, isPessimistic bool) {
	if from == to {
		return
	}
	txn := begin(client, async, onePhase)
	if isPessimistic {
		txn.SetPessimistic(true)
		locks := kv.NewLockCtx(txn.StartTS(), kv.LockAlwaysWait, time.Now())
		if txn.LockKeys(ctx, locks, key("txn bank", from), key("txn bank", to)) != nil {
			check(txn.Rollback(), "rollback")
			return
		}
	}
	source, err := txn.Get(ctx, key("txn bank", from))
	check(err, "get")
	target, err := txn.Get(ctx, key("txn bank", to))
	check(err, "get")
	if source[0] == 0 || target[0] == 255 {
		check(txn.Rollback(), "rollback")
		return
	}
	check(txn.Set(key("txn bank", from), []byte{source[0] - 1}), "set")
	check(txn.Set(key("txn bank", to), []byte{target[0] + 1}), "set")
	err = txn.Commit(ctx)
	var conflict *tikverr.ErrWriteConflict
	must(err == nil || errors.As(err, &conflict), "commit", err)
}

func sum(ctx context.Context, client *txnkv.Client, accounts, expected int) {
	txn := begin(client)
	total := 0
	for i := 0; i < accounts; i++ {
		value, err := txn.Get(ctx, key("txn bank", i))
		check(err, "get")
		total += int(value[0])
	}
	must(total == expected, "the sum of all accounts", total)
	check(txn.Rollback(), "rollback")
}

func main() {
	switch os.Args[1] {
	case "raw":
		raw(os.Args[2])
	case "txn":
		transactional(os.Args[2])
	}
}
