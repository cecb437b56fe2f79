// The course of work for Go's go-sql-driver. Usage: go run check.go PORT (within a module that requires the driver).
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

func main() {
	port := os.Args[1]
	root := open(port, "root", "", "", "")
	exec(root, "DROP DATABASE IF EXISTS go_check")
	exec(root, "CREATE DATABASE go_check")
	logins(port, root)
	for _, options := range []string{"", "tls=skip-verify", "interpolateParams=true", "compress=true"} {
		db := open(port, "root", "", "go_check", options)
		course(db)
		streamed(db)
		cancelled(db)
		check(db.Close())
	}
	fmt.Println("go-sql-driver: ok")
}

func open(port, user, password, database, options string) *sql.DB {
	dsn := fmt.Sprintf("%s:%s@tcp(127.0.0.1:%s)/%s?parseTime=true&multiStatements=true&maxAllowedPacket=0&%s",
		user, password, port, database, options)
	db, err := sql.Open("mysql", dsn)
	check(err)
	return db
}

func logins(port string, root *sql.DB) {
	for _, plugin := range []string{"mysql_native_password", "caching_sha2_password"} {
		user := "go_" + plugin[:7]
		exec(root, "DROP USER IF EXISTS '"+user+"'@'%'")
		exec(root, "CREATE USER '"+user+"'@'%' IDENTIFIED WITH '"+plugin+"' BY 'secret'")
		for _, options := range []string{"", "tls=skip-verify", ""} {
			db := open(port, user, "secret", "", options)
			check(db.Ping())
			check(db.Close())
		}
		expectCode(open(port, user, "wrong", "", "").Ping(), 1045)
	}
}

func course(db *sql.DB) {
	exec(db, "DROP TABLE IF EXISTS ship")
	exec(db, "CREATE TABLE ship (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30) UNIQUE, u BIGINT UNSIGNED,"+
		" draught DECIMAL(6,2), seen DATETIME(6), log LONGBLOB, doc JSON)")
	log := bytes.Repeat([]byte{0, 255, '\'', '\\'}, 5<<20)
	seen := time.Date(2024, 2, 29, 1, 2, 3, 456789000, time.UTC)
	result, err := db.Exec("INSERT INTO ship (name, u, draught, seen, log, doc) VALUES (?, ?, ?, ?, ?, ?)",
		"Möwe 🐦", uint64(math.MaxUint64), "3.25", seen, log, `{"a": [1, null]}`)
	check(err)
	id, _ := result.LastInsertId()
	affected, _ := result.RowsAffected()
	expect(id == 1 && affected == 1, "insert id and affected rows")

	statement, err := db.Prepare("SELECT name, u, draught, seen, log, doc, NULL FROM ship WHERE id = ?")
	check(err)
	var name, draught, doc string
	var u uint64
	var gotSeen time.Time
	var gotLog []byte
	var null sql.NullString
	check(statement.QueryRow(1).Scan(&name, &u, &draught, &gotSeen, &gotLog, &doc, &null))
	expect(name == "Möwe 🐦" && u == math.MaxUint64 && draught == "3.25", "values")
	expect(gotSeen.Equal(seen), "time")
	expect(bytes.Equal(gotLog, log), "a packet over 16 MiB")
	expect(doc == `{"a": [1, null]}` && !null.Valid, "JSON and NULL")
	check(statement.Close())

	_, err = db.Exec("INSERT INTO ship (name) VALUES ('Möwe 🐦')")
	expectCode(err, 1062)
	_, err = db.Exec("SELEC 1")
	expectCode(err, 1064)
	_, err = db.Exec("INSERT INTO nowhere VALUES (?)", 1)
	expectCode(err, 1146)

	txn, err := db.Begin()
	check(err)
	_, err = txn.Exec("DELETE FROM ship WHERE id = ?", 1)
	check(err)
	check(txn.Rollback())
	var count int
	check(db.QueryRow("SELECT COUNT(*) FROM ship").Scan(&count))
	expect(count == 1, "rollback")

	rows, err := db.Query("SELECT 1; SELECT 2, 3")
	check(err)
	sets := 1
	for rows.NextResultSet() {
		sets++
	}
	check(rows.Err())
	expect(sets == 2, "two results")
}

func streamed(db *sql.DB) {
	exec(db, "DROP TABLE IF EXISTS many")
	exec(db, "CREATE TABLE many (id INT AUTO_INCREMENT PRIMARY KEY, filler CHAR(100))")
	exec(db, "INSERT INTO many (filler) VALUES "+strings.Repeat("('filler'),", 499)+"('last')")
	rows, err := db.Query("SELECT a.id, b.filler FROM many a, many b WHERE a.id > ?", 0)
	check(err)
	count := 0
	for rows.Next() {
		var id int
		var filler string
		check(rows.Scan(&id, &filler))
		count++
	}
	check(rows.Err())
	expect(count == 250000, "a long result")
}

// A context that ends closes the connection; the server stops the statement behind it.
func cancelled(db *sql.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := db.ExecContext(ctx, "SELECT SLEEP(77)")
	expect(errors.Is(err, context.DeadlineExceeded), "the deadline")
	deadline := time.Now().Add(5 * time.Second)
	for {
		var count int
		check(db.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info = 'SELECT SLEEP(77)'").Scan(&count))
		if count == 0 {
			return
		}
		expect(time.Now().Before(deadline), "the statement of a client that left ends")
		time.Sleep(20 * time.Millisecond)
	}
}

func exec(db *sql.DB, text string) {
	_, err := db.Exec(text)
	check(err)
}

func expectCode(err error, code uint16) {
	var fault *mysql.MySQLError
	expect(errors.As(err, &fault) && fault.Number == code, fmt.Sprintf("error %d, not %v", code, err))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(condition bool, what string) {
	if !condition {
		panic(what)
	}
}
