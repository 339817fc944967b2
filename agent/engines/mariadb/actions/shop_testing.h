// A small shop with one of everything that a dump can lose. Tests only.
#pragma once

#include <string>
#include <vector>

namespace salvor::agent {

inline std::vector<std::string> MakeShop() {
  return {
      "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci COMMENT 'the shop''s'",
      "CREATE ROLE clerk",
      "CREATE USER app@localhost IDENTIFIED BY 'secret'",
      "GRANT clerk TO app@localhost",
      "SET DEFAULT ROLE clerk FOR app@localhost",
      "GRANT SELECT, INSERT ON shop.* TO clerk",
      "GRANT SELECT, INSERT ON shop.* TO app@localhost",  // views and routines run as it, without its roles
      "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60), raw VARBINARY(20), price DECIMAL(10,2),"
      " made TIMESTAMP NOT NULL DEFAULT '2026-01-01 00:00:00', twice DECIMAL(12,2) AS (price * 2) STORED, KEY by_name (name))",
      "INSERT INTO shop.orders (name, raw, price) VALUES ('ol\\'é\\n(),;', 0x00FF0A27, 1.10), ('two', NULL, 2.20),"
      " (NULL, '', 3.30), ('dup', 'x', 4), ('dup', 'x', 4)",
      "CREATE TABLE shop.lines (id INT PRIMARY KEY, order_id INT, FOREIGN KEY of_order (order_id) REFERENCES shop.orders (id))",
      "INSERT INTO shop.lines VALUES (1, 1), (2, 2)",
      "CREATE TABLE shop.latin (t VARCHAR(20)) CHARACTER SET latin1",
      "INSERT INTO shop.latin VALUES ('caf\xC3\xA9')",
      "CREATE TABLE shop.prices (item INT PRIMARY KEY, price INT) WITH SYSTEM VERSIONING",
      "INSERT INTO shop.prices VALUES (1, 10)",
      "UPDATE shop.prices SET price = 11",
      "CREATE TABLE shop.old (a INT) ENGINE=MyISAM",
      "INSERT INTO shop.old VALUES (1), (2)",
      "CREATE TABLE shop.nothing (a INT)",
      "CREATE SEQUENCE shop.numbers START WITH 100",
      "SELECT NEXT VALUE FOR shop.numbers",
      "CREATE DEFINER=app@localhost VIEW shop.b_names AS SELECT id, name FROM shop.orders",
      "CREATE VIEW shop.a_names AS SELECT * FROM shop.b_names",
      "CREATE DEFINER=app@localhost PROCEDURE shop.add_line() MODIFIES SQL DATA BEGIN\nINSERT INTO shop.lines VALUES\n"
      "(99, 1);\nEND",
      "CREATE FUNCTION shop.two() RETURNS INT DETERMINISTIC RETURN 2",
      "CREATE TRIGGER shop.stamp BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.price = IFNULL(NEW.price, 0)",
      "CREATE DEFINER=app@localhost EVENT shop.wipe ON SCHEDULE EVERY 1 SECOND STARTS '2035-01-01 00:00:00' DO DELETE FROM"
      " shop.lines",
      "CREATE EVENT shop.sleeps ON SCHEDULE EVERY 1 DAY DISABLE COMMENT 'ENABLE' DO SELECT 1",
      "GRANT SELECT (name) ON shop.orders TO app@localhost",
      "GRANT EXECUTE ON PROCEDURE shop.add_line TO app@localhost",
  };
}

}  // namespace salvor::agent
