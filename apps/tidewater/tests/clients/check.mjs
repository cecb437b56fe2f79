// The course of work for Node's mysql2. Usage: node check.mjs PORT (with mysql2 installed beside it).
import assert from "node:assert";
import mysql from "mysql2/promise";

const port = Number(process.argv[2]);
const tls = { rejectUnauthorized: false };

async function logins() {
  const root = await mysql.createConnection({ host: "127.0.0.1", port, user: "root" });
  for (const plugin of ["mysql_native_password", "caching_sha2_password"]) {
    const user = `js_${plugin.slice(0, 7)}`;
    await root.query(`DROP USER IF EXISTS '${user}'@'%'`);
    await root.query(`CREATE USER '${user}'@'%' IDENTIFIED WITH '${plugin}' BY 'pass ''wörd'`);
    // Twice over TLS: first the password itself is sent, then a proof; and twice without: the proof, or the RSA key.
    for (const ssl of [tls, tls, undefined, undefined]) {
      const conn = await mysql.createConnection({ host: "127.0.0.1", port, user, password: "pass 'wörd", ssl });
      const [[row]] = await conn.query("SELECT CURRENT_USER() AS who");
      assert.strictEqual(row.who, `${user}@%`);
      await conn.end();
    }
    await assert.rejects(mysql.createConnection({ host: "127.0.0.1", port, user, password: "wrong" }), { errno: 1045 });
  }
  await root.end();
}

async function types(conn) {
  await conn.query(
    "CREATE TABLE every (id INT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,4), at DATETIME(6), b VARBINARY(300), t TEXT, j JSON)",
  );
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  const row = {
    id: 1,
    u: "18446744073709551615",
    d: "-1234567890123456.7891",
    at: "2024-02-29 01:02:03.456789",
    b: bytes,
    t: "Möwe 🐦 'quoted' \\",
    j: { a: [1, null, "🐦"] },
  };
  await conn.execute("INSERT INTO every VALUES (?, ?, ?, ?, ?, ?, ?)", [...Object.values(row).slice(0, 6), JSON.stringify(row.j)]);
  await conn.execute("INSERT INTO every (id, b) VALUES (?, ?)", [2, null]);
  for (const run of ["query", "execute"]) {
    const [rows] = await conn[run]("SELECT * FROM every WHERE id = ?", [1]);
    assert.deepStrictEqual({ ...rows[0] }, row);
    const [[nulls]] = await conn[run]("SELECT u, b, j FROM every WHERE id = ?", [2]);
    assert.deepStrictEqual({ ...nulls }, { u: null, b: null, j: null });
  }
}

async function large(conn) {
  const text = "x".repeat(20 << 20);
  for (const run of ["query", "execute"]) {
    const [[row]] = await conn[run]("SELECT LENGTH(?) AS length, CONCAT(?) AS value", [text, text]);
    assert.strictEqual(Number(row.length), text.length);
    assert.ok(row.value === text);
  }
  await conn.query("CREATE TABLE many (id INT AUTO_INCREMENT PRIMARY KEY, filler CHAR(100))");
  await conn.query("INSERT INTO many (filler) VALUES ?", [Array.from({ length: 400 }, (_, n) => [`filler ${n}`])]);
  let count = 0;
  for await (const _ of conn.connection.query("SELECT a.id, b.filler FROM many a, many b").stream()) count++;
  assert.strictEqual(count, 160000);
}

async function course(options) {
  const conn = await mysql.createConnection({
    host: "127.0.0.1", port, user: "root", multipleStatements: true, supportBigNumbers: true, dateStrings: true, ...options,
  });
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
  const [several] = await conn.query("SELECT 1 AS a; INSERT INTO ship (name) VALUES ('x'); SELECT 2 AS b");
  assert.deepStrictEqual([several[0][0].a, several[1].affectedRows, several[2][0].b], [1, 1, 2]);
  await assert.rejects(conn.query("INSERT INTO ship (name) VALUES ('Möwe 🐦')"), { errno: 1062, sqlState: "23000" });
  await assert.rejects(conn.query("SELEC 1"), { errno: 1064 });
  await assert.rejects(conn.execute("SELECT * FROM nowhere"), { errno: 1146 });
  await types(conn);
  await large(conn);
  await conn.ping();
  await conn.end();
}

await logins();
for (const options of [{}, { ssl: tls }, { compress: true }]) await course(options);
console.log("mysql2: ok");
