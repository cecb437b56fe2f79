"""One course of work that every Python driver of MySQL must get through. Usage: check.py DRIVER PORT."""

import datetime
import decimal
import json
import sys
import threading
import time

LONG_TEXT = "x" * (20 << 20)


class Pymysql:
    def connect(self, tls=False, **options):
        import pymysql

        options |= {"ssl": {"check_hostname": False, "verify_mode": False}} if tls else {"ssl_disabled": True}
        return pymysql.connect(host="127.0.0.1", client_flag=1 << 16, max_allowed_packet=64 << 20, **options)

    def streaming(self, conn):
        from pymysql.cursors import SSCursor

        return conn.cursor(SSCursor)

    def statements(self, conn, text):
        cursor = conn.cursor()
        cursor.execute(text)
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
        return results


class Mysqlclient(Pymysql):
    def connect(self, tls=False, **options):
        import MySQLdb

        mode = "REQUIRED" if tls else "DISABLED"
        # Flag 16 stands for CLIENT_MULTI_STATEMENTS.
        return MySQLdb.connect(host="127.0.0.1", client_flag=1 << 16, ssl_mode=mode, charset="utf8mb4", **options)

    def streaming(self, conn):
        from MySQLdb.cursors import SSCursor

        return conn.cursor(SSCursor)


class Connector:
    def __init__(self, pure):
        self.pure = pure

    def connect(self, tls=False, **options):
        import mysql.connector

        if options.get("database", "") is None:
            del options["database"]
        return mysql.connector.connect(host="127.0.0.1", use_pure=self.pure, ssl_disabled=not tls, **options)

    def streaming(self, conn):
        return conn.cursor(buffered=False)

    def statements(self, conn, text):
        cursor = conn.cursor()
        cursor.execute(text)
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall() if cursor.description else [])
        return results


DRIVERS = {
    "pymysql": Pymysql(),
    "mysqlclient": Mysqlclient(),
    "mysql-connector": Connector(pure=True),
    "mysql-connector-c": Connector(pure=False),
}


def error_code(cursor, sql):
    try:
        cursor.execute(sql)
    except Exception as error:
        return getattr(error, "errno", None) or error.args[0]
    raise AssertionError(f"no error from {sql}")


def logins(driver, port):
    root = driver.connect(port=port, user="root")
    cursor = root.cursor()
    for plugin in ("mysql_native_password", "caching_sha2_password"):
        user = plugin[:7]
        cursor.execute(f"DROP USER IF EXISTS '{user}'@'%'")
        cursor.execute(f"CREATE USER '{user}'@'%' IDENTIFIED WITH '{plugin}' BY 'pass ''word'")
        # Twice each: the first login of caching_sha2_password sends the password, the next one only a proof.
        for tls in (True, True, False):
            conn = driver.connect(tls, port=port, user=user, password="pass 'word")
            own = conn.cursor()
            own.execute("SELECT CURRENT_USER()")
            assert own.fetchone()[0] == f"{user}@%"
            conn.close()
        try:
            driver.connect(True, port=port, user=user, password="wrong")
            raise AssertionError("a wrong password was taken")
        except Exception as error:
            assert (getattr(error, "errno", None) or error.args[0]) == 1045, error
    root.close()


def types(conn):
    cursor = conn.cursor()
    cursor.execute(
        "CREATE TABLE every (id INT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,4), f DOUBLE, day DATE, at DATETIME(6),"
        " span TIME, b VARBINARY(300), t TEXT, j JSON)"
    )
    row = (
        1,
        2**64 - 1,
        decimal.Decimal("-1234567890123456.7891"),
        1.5,
        datetime.date(1999, 12, 31),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 456789),
        datetime.timedelta(hours=-30, minutes=-5),
        bytes(range(256)),
        "Möwe 🐦 'quoted' \\ \x1a \0 %s",
        None,
    )
    cursor.execute("INSERT INTO every VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
    cursor.execute("SELECT * FROM every WHERE id = %s", (1,))
    got = cursor.fetchone()
    assert tuple(got) == row, got
    document = {"a": [1, None, "🐦"], "b": {"c": 1.5}}
    cursor.execute("INSERT INTO every (id, j) VALUES (2, %s)", (json.dumps(document),))
    cursor.execute("SELECT j, u, at FROM every WHERE id = 2")
    got = cursor.fetchone()
    assert json.loads(got[0]) == document and got[1:] == (None, None), got


def transactions(driver, conn, other):
    cursor, rival = conn.cursor(), other.cursor()
    cursor.execute("CREATE TABLE account (id INT PRIMARY KEY, balance INT)")
    cursor.execute("INSERT INTO account VALUES (1, 100), (2, 100)")
    conn.commit()
    cursor.execute("UPDATE account SET balance = 0")
    assert cursor.rowcount == 2, cursor.rowcount
    rival.execute("SELECT SUM(balance) FROM account")
    assert rival.fetchone()[0] == 200
    rival.execute("SET innodb_lock_wait_timeout = 1")
    assert error_code(rival, "UPDATE account SET balance = 1 WHERE id = 1") == 1205
    other.rollback()
    conn.rollback()
    cursor.execute("UPDATE account SET balance = 1 WHERE id = 1")
    rival.execute("UPDATE account SET balance = 2 WHERE id = 2")
    outcomes = []

    def cross():
        try:
            rival.execute("UPDATE account SET balance = 2 WHERE id = 1")
            outcomes.append(None)
        except Exception as error:
            outcomes.append(getattr(error, "errno", None) or error.args[0])

    rival.execute("SET innodb_lock_wait_timeout = 20")
    thread = threading.Thread(target=cross)
    thread.start()
    time.sleep(0.2)
    try:
        cursor.execute("UPDATE account SET balance = 1 WHERE id = 2")
        outcomes.append(None)
        conn.commit()
    except Exception as error:
        outcomes.append(getattr(error, "errno", None) or error.args[0])
        conn.rollback()
    thread.join()
    assert 1213 in outcomes and None in outcomes, outcomes
    other.rollback()
    conn.rollback()


def large(driver, conn):
    cursor = conn.cursor()
    cursor.execute("CREATE TABLE large (id INT PRIMARY KEY, t LONGTEXT)")
    cursor.execute("SELECT LENGTH(%s), %s", (LONG_TEXT, LONG_TEXT))
    length, text = cursor.fetchone()
    assert length == len(LONG_TEXT) and text == LONG_TEXT
    cursor.execute("CREATE TABLE many (id INT AUTO_INCREMENT PRIMARY KEY, filler CHAR(100))")
    cursor.executemany("INSERT INTO many (filler) VALUES (%s)", [(f"filler {n}",) for n in range(1000)])
    conn.commit()
    stream = driver.streaming(conn)
    stream.execute("SELECT a.id, b.filler FROM many a, many b LIMIT 100000")
    count = 0
    while rows := stream.fetchmany(1000):
        count += len(rows)
    assert count == 100000, count
    stream.close()


def prepared(conn):
    cursor = conn.cursor(prepared=True)
    cursor.execute("SELECT d, day, at, b, t, j, ? FROM every WHERE id = ?", (2**63 - 1, 1))
    row = cursor.fetchall()[0]
    assert (row[5], row[6]) == (None, 2**63 - 1), row
    assert str(row[0]) == "-1234567890123456.7891" and row[3] == bytes(range(256)), row
    cursor.execute("SELECT name FROM ship WHERE id = ?", (2,))
    assert cursor.fetchall() == [("ship 2",)]
    cursor.execute("SELECT LENGTH(?)", (LONG_TEXT,))
    assert cursor.fetchall() == [(len(LONG_TEXT),)]
    cursor.close()


def course(driver, name, port):
    conn = driver.connect(port=port, user="root")
    cursor = conn.cursor()
    cursor.execute(f"DROP DATABASE IF EXISTS {name}")
    cursor.execute(f"CREATE DATABASE {name}")
    conn.close()

    conn = driver.connect(True, port=port, user="root", database=name)
    cursor = conn.cursor()
    cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
    assert cursor.fetchone()[1], "no TLS"
    cursor.execute(
        "CREATE TABLE ship (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30) UNIQUE, draught DECIMAL(6,2),"
        " built DATE, seen DATETIME(3), log BLOB, note TEXT)"
    )
    seen = datetime.datetime(2024, 2, 29, 1, 2, 3, 456000)
    row = ("Möwe 🐦", decimal.Decimal("3.25"), datetime.date(1999, 12, 31), seen, b"\x00\xff'\\", None)
    cursor.execute("INSERT INTO ship (name, draught, built, seen, log, note) VALUES (%s, %s, %s, %s, %s, %s)", row)
    assert cursor.lastrowid == 1, cursor.lastrowid
    cursor.executemany("INSERT INTO ship (name, draught) VALUES (%s, %s)", [(f"ship {n}", n) for n in range(2, 102)])
    assert cursor.rowcount == 100, cursor.rowcount
    conn.commit()
    cursor.execute("SELECT name, draught, built, seen, log, note FROM ship WHERE id = %s", (1,))
    got = cursor.fetchone()
    assert tuple(got) == row, got
    cursor.execute("SELECT COUNT(*), SUM(draught), MAX(name) FROM ship WHERE draught > %s", (50,))
    assert tuple(cursor.fetchone()) == (51, decimal.Decimal("3876.00"), "ship 99")

    cursor.execute("UPDATE ship SET draught = draught + 1 WHERE id <= 10")
    assert cursor.rowcount == 10, cursor.rowcount
    conn.rollback()
    cursor.execute("SELECT draught FROM ship WHERE id = 2")
    assert cursor.fetchone()[0] == decimal.Decimal("2.00")
    cursor.execute("DELETE FROM ship WHERE id > 50")
    conn.commit()
    cursor.execute("SELECT COUNT(*) FROM ship")
    assert cursor.fetchone()[0] == 50

    assert error_code(cursor, "INSERT INTO ship (name) VALUES ('ship 2')") == 1062
    assert error_code(cursor, "SELEC 1") == 1064
    assert error_code(cursor, "SELECT * FROM nowhere") == 1146
    results = driver.statements(conn, "SELECT 1; SET @a = 2; SELECT @a, 'x' FROM ship LIMIT 2")
    assert [tuple(map(tuple, rows)) for rows in results] == [((1,),), (), ((2, "x"), (2, "x"))], results
    types(conn)
    large(driver, conn)
    transactions(driver, conn, driver.connect(port=port, user="root", database=name))
    if isinstance(driver, Connector):
        prepared(conn)
        conn.cmd_reset_connection()
        conn.cmd_change_user("root", "", name)
    conn.ping()
    conn.close()


def main(name, port):
    driver = DRIVERS[name]
    logins(driver, port)
    course(driver, "py_" + name.replace("-", "_"), port)
    print(f"{name}: ok")


main(sys.argv[1], int(sys.argv[2]))
