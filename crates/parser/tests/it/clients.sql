-- mariadb and mysql command line.
select @@version_comment limit 1;
select USER();
SELECT DATABASE();
show databases;
show tables;
select @@version;
SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment,@@tx_isolation AS tx_isolation,@@sql_mode;
help 'contents';

-- mysqldump and mariadb-dump.
/*!40100 SET @@SQL_MODE='' */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!80000 SET SESSION information_schema_stats_expiry=0 */;
SET SESSION NET_READ_TIMEOUT= 86400, SESSION NET_WRITE_TIMEOUT= 86400;
FLUSH /*!40101 LOCAL */ TABLES;
FLUSH TABLES WITH READ LOCK;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */;
SHOW VARIABLES LIKE 'gtid\_mode';
SHOW VARIABLES LIKE 'aria_recover_options';
SELECT LOGFILE_GROUP_NAME, FILE_NAME, TOTAL_EXTENTS, INITIAL_SIZE, ENGINE, EXTRA FROM INFORMATION_SCHEMA.FILES WHERE FILE_TYPE = 'UNDO LOG' AND FILE_NAME IS NOT NULL AND LOGFILE_GROUP_NAME IS NOT NULL AND LOGFILE_GROUP_NAME IN (SELECT DISTINCT LOGFILE_GROUP_NAME FROM INFORMATION_SCHEMA.FILES WHERE FILE_TYPE = 'DATAFILE' AND TABLESPACE_NAME IN (SELECT DISTINCT TABLESPACE_NAME FROM INFORMATION_SCHEMA.PARTITIONS WHERE TABLE_SCHEMA IN ('test'))) GROUP BY LOGFILE_GROUP_NAME, FILE_NAME, ENGINE, TOTAL_EXTENTS, INITIAL_SIZE ORDER BY LOGFILE_GROUP_NAME;
SELECT DISTINCT TABLESPACE_NAME, FILE_NAME, LOGFILE_GROUP_NAME, EXTENT_SIZE, INITIAL_SIZE, ENGINE FROM INFORMATION_SCHEMA.FILES WHERE FILE_TYPE = 'DATAFILE' ORDER BY TABLESPACE_NAME, LOGFILE_GROUP_NAME;
SHOW CREATE DATABASE IF NOT EXISTS `test`;
SAVEPOINT sp;
show tables like 't';
show table status like 't';
SET SQL_QUOTE_SHOW_CREATE=1;
SET SESSION character_set_results = 'binary';
show create table `t`;
SET SESSION character_set_results = 'utf8mb4';
show fields from `t`;
show triggers like 't';
SELECT /*!40001 SQL_NO_CACHE */ * FROM `t`;
SELECT /*!40001 SQL_NO_CACHE */ `id`, `a` FROM `t` ORDER BY `id`;
SELECT COLUMN_NAME, JSON_EXTRACT(HISTOGRAM, '$."number-of-buckets-specified"') FROM information_schema.COLUMN_STATISTICS WHERE SCHEMA_NAME = 'test' AND TABLE_NAME = 't';
use `test`;
select @@collation_database;
SHOW TRIGGERS LIKE 't';
SHOW FUNCTION STATUS WHERE Db = 'test';
SHOW PROCEDURE STATUS WHERE Db = 'test';
SHOW PACKAGE STATUS WHERE Db = 'test';
SHOW PACKAGE BODY STATUS WHERE Db = 'test';
show events;
ROLLBACK TO SAVEPOINT sp;
RELEASE SAVEPOINT sp;
UNLOCK TABLES;
SELECT engine FROM information_schema.tables WHERE table_schema = 'test' AND table_name = 't';
SHOW MASTER STATUS;
SHOW SLAVE STATUS;
SHOW CREATE TABLE `test`.`t`;
SELECT column_name, extra, generation_expression, data_type FROM information_schema.columns WHERE table_schema=SCHEMA() AND table_name='t' ORDER BY ordinal_position;

-- A dump as it is read back.
/*M!999999\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: test
-- ------------------------------------------------------
-- Server version	8.0.36

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

CREATE DATABASE /*!32312 IF NOT EXISTS*/ `test` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci */;

USE `test`;

--
-- Table structure for table `t`
--

DROP TABLE IF EXISTS `t`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8 */;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `t` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `a` varchar(10) CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT NULL,
  `b` decimal(10,2) NOT NULL DEFAULT 0.00,
  `c` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  `d` enum('x','y') DEFAULT 'x' COMMENT 'it''s',
  `e` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`e`)),
  `f` int(11) GENERATED ALWAYS AS (`id` + 1) VIRTUAL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`a`),
  KEY `k` (`b`,`c`) USING BTREE,
  CONSTRAINT `fk` FOREIGN KEY (`id`) REFERENCES `u` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `t`
--

LOCK TABLES `t` WRITE;
/*!40000 ALTER TABLE `t` DISABLE KEYS */;
INSERT INTO `t` VALUES
(1,'a',1.50,'2024-01-01 00:00:00','x',NULL,2),
(2,NULL,-2.00,'2024-01-01 00:00:00','y','{\"a\": 1}',3);
INSERT  IGNORE INTO `t` (`id`, `a`) VALUES (3,_binary 'a\0b\'c');
REPLACE  INTO `t` VALUES (4,0xFF,1e10,DEFAULT,'',"",0);
/*!40000 ALTER TABLE `t` ENABLE KEYS */;
UNLOCK TABLES;

/*!50001 DROP VIEW IF EXISTS `v`*/;
SET @saved_cs_client     = @@character_set_client;
SET character_set_client = utf8;
/*!50001 CREATE VIEW `v` AS SELECT
 1 AS `a`,
  1 AS `b`*/;
SET character_set_client = @saved_cs_client;
/*!50001 DROP VIEW IF EXISTS `v`*/;
/*!50001 SET @saved_cs_client          = @@character_set_client */;
/*!50001 SET character_set_client      = utf8mb3 */;
/*!50001 SET collation_connection      = utf8mb3_general_ci */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select `t`.`id` AS `a`,`t`.`b` AS `b` from `t` where `t`.`b` > 1 */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;
-- Dump completed on 2024-01-01  0:00:00

-- Connector/J.
/* mysql-connector-j-8.3.0 (Revision: 1a2b3c) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout;
SET NAMES utf8mb4;
SET character_set_results = NULL;
SET autocommit=1;
SET sql_mode='STRICT_TRANS_TABLES';
SET SESSION TRANSACTION READ WRITE;
select @@session.transaction_read_only;
SELECT @@session.tx_isolation;
SHOW WARNINGS;
/* ping */ SELECT 1;
SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, CASE WHEN TABLE_TYPE='BASE TABLE' THEN CASE WHEN TABLE_SCHEMA = 'mysql' OR TABLE_SCHEMA = 'performance_schema' THEN 'SYSTEM TABLE' ELSE 'TABLE' END WHEN TABLE_TYPE='TEMPORARY' THEN 'LOCAL_TEMPORARY' ELSE TABLE_TYPE END AS TABLE_TYPE, TABLE_COMMENT AS REMARKS, NULL AS TYPE_CAT FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'test' AND TABLE_NAME LIKE 't' HAVING TABLE_TYPE IN ('TABLE',null,null,null,null) ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME;
SHOW FULL TABLES FROM `test` LIKE '%';
SHOW FULL COLUMNS FROM `t` FROM `test` LIKE '%';
SHOW KEYS FROM `t` FROM `test`;
SELECT KEYWORD FROM (SELECT 'ABORT' AS KEYWORD UNION SELECT 'ACTION') x WHERE KEYWORD NOT IN ('a','b');
set session sql_select_limit=18446744073709551615;
SET SQL_SELECT_LIMIT=DEFAULT;

-- MariaDB Connector/J.
set autocommit=1, session_track_schema=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES'), tx_isolation='REPEATABLE-READ', names utf8mb4;
SELECT @@max_allowed_packet, @@wait_timeout;

-- mysql-connector-python, PyMySQL, MySQLdb, SQLAlchemy.
SET NAMES 'utf8mb4' COLLATE 'utf8mb4_0900_ai_ci';
SET @@session.autocommit = OFF;
SET AUTOCOMMIT = 0;
SELECT VERSION();
SELECT @@sql_mode;
SELECT @@lower_case_table_names;
SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1;
SELECT CAST('test unicode returns' AS CHAR(60)) AS anon_1;
SELECT CAST('test collated returns' AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS anon_1;
SHOW VARIABLES LIKE 'sql_mode';
SHOW VARIABLES LIKE 'lower_case_table_names';
DESCRIBE `test`.`t`;
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'test' AND table_name = 't';
ROLLBACK;
COMMIT;
SELECT DATABASE(), CONNECTION_ID();
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
show full tables where Table_type = 'BASE TABLE';

-- Django.
SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL;
SET SQL_AUTO_IS_NULL = 0;
SELECT `django_migrations`.`id` FROM `django_migrations` ORDER BY `django_migrations`.`id` ASC LIMIT 21;
SELECT (1) AS `a` FROM `t` WHERE `t`.`a` = 1 LIMIT 1;
ALTER TABLE `t` ADD COLUMN `x` datetime(6) NULL;
ALTER TABLE `t` ADD CONSTRAINT `t_x_uniq` UNIQUE (`x`, `y`);

-- mysql2 and Node ORMs.
SELECT CONNECTION_ID() as connectionId;
SHOW INDEX FROM `t`;
SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = 'test';
START TRANSACTION;
SET FOREIGN_KEY_CHECKS = 0;
SELECT `id`, COUNT(`x`) AS `n` FROM `t` AS `t` WHERE (`t`.`a` IS NULL AND `t`.`b` >= '2024-01-01 00:00:00') GROUP BY `id` HAVING `n` > 1 LIMIT 0, 10;
CREATE TABLE IF NOT EXISTS `t` (`id` INTEGER NOT NULL auto_increment , `name` VARCHAR(255), `createdAt` DATETIME NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB;

-- HeidiSQL.
SHOW VARIABLES;
/*!40101 SET NAMES utf8mb4 */;
SELECT NOW(), USER(), CURRENT_USER(), CONNECTION_ID();
SHOW STATUS;
SHOW /*!50002 GLOBAL */ STATUS;
SHOW /*!50000 GLOBAL */ VARIABLES LIKE 'x';
SELECT `DEFAULT_COLLATION_NAME` FROM `information_schema`.`SCHEMATA` WHERE `SCHEMA_NAME`='test';
SHOW TABLE STATUS FROM `test`;
SHOW FUNCTION STATUS WHERE `Db`='test';
SHOW TRIGGERS FROM `test`;
SHOW EVENTS FROM `test`;
SELECT *, EVENT_SCHEMA AS `Db`, EVENT_NAME AS `Name` FROM information_schema.`EVENTS` WHERE `EVENT_SCHEMA`='test';
SELECT * FROM `information_schema`.`COLUMNS` WHERE TABLE_SCHEMA='test' AND TABLE_NAME='t' ORDER BY ORDINAL_POSITION;
SHOW INDEXES FROM `t` FROM `test`;
SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE   CONSTRAINT_SCHEMA='test'   AND TABLE_NAME='t'   AND REFERENCED_TABLE_NAME IS NOT NULL;
SELECT `id`, LEFT(`a`, 256), `b` FROM `test`.`t` ORDER BY `id` ASC LIMIT 1000;
SHOW COLLATION;
SHOW ENGINES;
KILL 5;

-- MySQL Workbench, DBeaver, DataGrip.
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET CHARACTER SET utf8;
SET SQL_SAFE_UPDATES=1;
SHOW SESSION VARIABLES LIKE 'lower_case_table_names';
SHOW SESSION STATUS LIKE 'Ssl_cipher';
SELECT current_user();
SHOW GRANTS FOR CURRENT_USER;
SELECT name, value FROM (SELECT 1 AS name, 2 AS value) v LIMIT 0, 200;
select database(), schema(), left(user(),instr(concat(user(),'@'),'@')-1), @@version_comment;
show plugins;
SHOW FULL PROCESSLIST;
SELECT @@GLOBAL.character_set_server,@@GLOBAL.collation_server;
SHOW VARIABLES LIKE 'aurora\_version';
select TABLE_NAME, TABLE_COMMENT, TABLE_TYPE, CREATE_OPTIONS from INFORMATION_SCHEMA.TABLES where TABLE_SCHEMA = 'test';

-- sysbench.
CREATE TABLE sbtest1( id INTEGER NOT NULL AUTO_INCREMENT, k INTEGER DEFAULT '0' NOT NULL, c CHAR(120) DEFAULT '' NOT NULL, pad CHAR(60) DEFAULT '' NOT NULL, PRIMARY KEY (id) ) /*! ENGINE = innodb */;
INSERT INTO sbtest1(k, c, pad) VALUES(5028, '68487932199-96439406143', '67847967377-48000963322'),(5043, '13241531885', '85016');
CREATE INDEX k_1 ON sbtest1(k);
SELECT c FROM sbtest1 WHERE id=?;
SELECT c FROM sbtest1 WHERE id BETWEEN ? AND ?;
SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN ? AND ?;
SELECT c FROM sbtest1 WHERE id BETWEEN ? AND ? ORDER BY c;
SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN ? AND ? ORDER BY c;
UPDATE sbtest1 SET k=k+1 WHERE id=?;
UPDATE sbtest1 SET c=? WHERE id=?;
DELETE FROM sbtest1 WHERE id=?;
INSERT INTO sbtest1 (id, k, c, pad) VALUES (?, ?, ?, ?);
DROP TABLE IF EXISTS sbtest1;

-- go-sql-driver, TPC-C tools, WordPress, Rails.
SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;
select d_next_o_id, d_tax from district where d_w_id = 1 and d_id = 2 for update;
SELECT count(DISTINCT (s_i_id)) FROM order_line, stock WHERE ol_w_id = 1 AND ol_o_id < 5 AND ol_o_id >= 5 - 20 AND s_quantity < 10;
UPDATE stock SET s_quantity = 1, s_ytd = s_ytd + 2, s_remote_cnt = s_remote_cnt + 1 WHERE s_i_id = 1 AND s_w_id = 1;
SELECT SQL_CALC_FOUND_ROWS wp_posts.ID FROM wp_posts WHERE 1=1 AND wp_posts.post_type = 'post' AND ((wp_posts.post_status = 'publish')) ORDER BY wp_posts.post_date DESC LIMIT 0, 10;
SELECT FOUND_ROWS();
SHOW FULL FIELDS FROM `t`;
SET @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'), @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483;
INSERT INTO `wp_options` (`option_name`, `option_value`, `autoload`) VALUES ('a', 'b', 'yes') ON DUPLICATE KEY UPDATE `option_name` = VALUES(`option_name`), `option_value` = VALUES(`option_value`);
SELECT GET_LOCK('x', 10), RELEASE_LOCK('x'), IS_FREE_LOCK('x');
SELECT table_name AS name FROM information_schema.tables WHERE table_schema = database() AND table_type IN ('BASE TABLE') ORDER BY table_name;
