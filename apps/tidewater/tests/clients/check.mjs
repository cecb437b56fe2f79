// The course of work for Node's mysql2. Usage: node check.mjs PORT (with mysql2 installed beside it).
import assert from "node:assert";
import mysql from "mysql2/promise";

const port = Number(process.argv[2]);
const conn = await mysql.createConnection({ host: "127.0.0.1", port, user: "root" });
await conn.query("DROP DATABASE IF EXISTS js_mysql2");
await conn.query("CREATE DATABASE js_mysql2");
await conn.changeUser({ database: "js_mysql2" });
await conn.query("CREATE TABLE ship (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30) UNIQUE, draught DECIMAL(6,2), built DATE)");
const [inserted] = await conn.execute("INSERT INTO ship (name, draught, built) VALUES (?, ?, ?)", ["Möwe 🐦", "3.25", "1999-12-31"]);
assert.strictEqual(inserted.insertId, 1);
assert.strictEqual(inserted.affectedRows, 1);
const [rows, fields] = await conn.execute("SELECT id, name, draught FROM ship WHERE id = ?", [1]);
assert.deepStrictEqual({ ...rows[0] }, { id: 1, name: "Möwe 🐦", draught: "3.25" });
assert.strictEqual(fields[1].name, "name");
await conn.beginTransaction();
await conn.query("DELETE FROM ship");
await conn.rollback();
const [[{ n }]] = await conn.query("SELECT COUNT(*) AS n FROM ship");
assert.strictEqual(n, 1);
await assert.rejects(conn.query("INSERT INTO ship (name) VALUES ('Möwe 🐦')"), { errno: 1062, sqlState: "23000" });
await assert.rejects(conn.query("SELEC 1"), { errno: 1064 });
await conn.end();
console.log("mysql2: ok");
