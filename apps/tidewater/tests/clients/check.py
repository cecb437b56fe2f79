"""One course of work that every Python driver of MySQL must get through. Usage: check.py DRIVER PORT."""

import datetime
import decimal
import sys


def connect(driver, port, database=None):
    if driver == "pymysql":
        import pymysql

        return pymysql.connect(host="127.0.0.1", port=port, user="root", database=database)
    if driver == "mysql-connector":
        import mysql.connector

        return mysql.connector.connect(host="127.0.0.1", port=port, user="root", database=database, use_pure=True)
    if driver == "mysqlclient":
        import MySQLdb

        return MySQLdb.connect(host="127.0.0.1", port=port, user="root", database=database or "")
    raise SystemExit(f"unknown driver {driver}")


def error_code(cursor, sql):
    try:
        cursor.execute(sql)
    except Exception as error:
        return getattr(error, "errno", None) or error.args[0]
    raise AssertionError(f"no error from {sql}")


def main(driver, port):
    name = "py_" + driver.replace("-", "_")
    conn = connect(driver, port)
    cursor = conn.cursor()
    cursor.execute(f"DROP DATABASE IF EXISTS {name}")
    cursor.execute(f"CREATE DATABASE {name}")
    conn.close()

    conn = connect(driver, port, name)
    cursor = conn.cursor()
    cursor.execute(
        "CREATE TABLE ship (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30) UNIQUE, draught DECIMAL(6,2),"
        " built DATE, seen DATETIME(3), log BLOB, note TEXT)"
    )
    row = ("Möwe 🐦", decimal.Decimal("3.25"), datetime.date(1999, 12, 31), datetime.datetime(2024, 2, 29, 1, 2, 3, 456000), b"\x00\xff'\\", None)
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
    if driver == "mysql-connector":
        prepared = conn.cursor(prepared=True)
        prepared.execute("SELECT name FROM ship WHERE id = ?", (2,))
        assert prepared.fetchall() == [("ship 2",)]
        prepared.close()
    conn.close()
    print(f"{driver}: ok")


main(sys.argv[1], int(sys.argv[2]))
