-- What mariadb-dump must bring over: every column type with values that need care, names that need quotes, keys.
CREATE TABLE every (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, ti TINYINT, sm SMALLINT UNSIGNED, mi MEDIUMINT,
  i INT ZEROFILL, bi BIGINT, f FLOAT, db DOUBLE, de DECIMAL(30,10), bo BOOLEAN DEFAULT 1, d DATE,
  dt DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, dt6 DATETIME(6), ts TIMESTAMP NULL DEFAULT NULL,
  ts3 TIMESTAMP(3) NULL, t TIME, t6 TIME(6), y YEAR, c CHAR(10), v VARCHAR(100) COMMENT 'it''s a comment', bn BINARY(4),
  vb VARBINARY(100), tb TINYBLOB, b BLOB, mb MEDIUMBLOB, lb LONGBLOB, tt TINYTEXT, tx TEXT, mt MEDIUMTEXT, lt LONGTEXT,
  bt BIT(10), en ENUM('a','b''c','ü') DEFAULT 'a', st SET('x','y','z'), j JSON, g INT AS (ti + 1) STORED,
  gv INT AS (ti + 2) VIRTUAL, PRIMARY KEY (id), UNIQUE KEY uv (v), KEY k2 (ti, sm), KEY pre (tx(10)))
  AUTO_INCREMENT = 100 COMMENT = 'every type';
INSERT INTO every (ti, sm, mi, i, bi, f, db, de, d, dt, dt6, ts, ts3, t, t6, y, c, v, bn, vb, tb, b, mb, lb, tt, tx, mt,
  lt, bt, en, st, j) VALUES (-128, 65535, -8388608, 42, -9223372036854775808, 1.5, -2.25e100,
  '-12345678901234567890.1234567891', '0001-01-01', '9999-12-31 23:59:59', '2024-02-29 01:02:03.456789',
  '2024-02-29 01:02:03', '2024-02-29 01:02:03.456', '-838:59:59', '12:00:00.000001', 2155, 'äöü', 'Möwe 🐦', x'00ff',
  x'00010227225c0a0d1aff', x'00', x'ff', '', x'deadbeef', 'tiny', 'line\nbreak\ttab \\ \' " \0 \Z', 'm', 'l',
  b'1000000001', 'b''c', 'x,z', '{"a": [1, null, "🐦", "q\\"uote"], "n": 1.5}');
INSERT INTO every (v) VALUES (NULL);
INSERT INTO every (v, d, dt) VALUES ('', NULL, NULL);
CREATE TABLE no_key (a INT, b VARCHAR(10));
INSERT INTO no_key VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
CREATE TABLE `we ird``name` (`col ``umn` INT PRIMARY KEY, `order` INT);
INSERT INTO `we ird``name` VALUES (1, 2);
CREATE TABLE many (id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(50), KEY (a));
INSERT INTO many (a) VALUES ('r1'), ('r2'), ('r3'), ('r4'), ('r5');
INSERT INTO many (a) SELECT CONCAT(x.a, y.a, z.a, w.a) FROM many x, many y, many z, many w;
