// The course of work for JDBC. Usage: java -cp mysql-connector-j.jar Check.java PORT
import java.math.BigDecimal;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.Arrays;
import java.util.Properties;

public class Check {
    private static final String SEEN = "2024-02-29 01:02:03.456";

    public static void main(String[] args) throws Exception {
        String url = "jdbc:mysql://127.0.0.1:" + args[0] + "/jdbc_check?createDatabaseIfNotExist=true&";
        for (String options : new String[] {
                "sslMode=DISABLED", "useServerPrepStmts=true", "useServerPrepStmts=true&useCursorFetch=true", "useCompression=true"}) {
            try (Connection conn = connect(url + options)) {
                course(conn);
                errors(conn);
                types(conn);
                // The driver garbles compressed packets of more than 16 MiB, with MariaDB as well.
                large(conn, options.contains("useCompression") ? 1 << 20 : 20 << 20);
                stopped(conn);
            } catch (Throwable error) {
                throw new AssertionError("with " + options, error);
            }
        }
        logins(url);
        System.out.println("jdbc: ok");
    }

    private static Connection connect(String url) throws SQLException {
        return connect(url, "root", "");
    }

    private static Connection connect(String url, String user, String password) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", user);
        properties.setProperty("password", password);
        properties.setProperty("rewriteBatchedStatements", "true");
        properties.setProperty("allowPublicKeyRetrieval", "true");
        properties.setProperty("allowMultiQueries", "true");
        return DriverManager.getConnection(url, properties);
    }

    private static void logins(String url) throws SQLException {
        try (Connection root = connect(url); Statement statement = root.createStatement()) {
            for (String plugin : new String[] {"mysql_native_password", "caching_sha2_password"}) {
                String user = "jdbc_" + plugin.substring(0, 7);
                statement.execute("DROP USER IF EXISTS '" + user + "'@'%'");
                statement.execute("CREATE USER '" + user + "'@'%' IDENTIFIED WITH '" + plugin + "' BY 'päss'");
                statement.execute("GRANT ALL ON jdbc_check.* TO '" + user + "'@'%'");
                for (String mode : new String[] {"DISABLED", "REQUIRED", "DISABLED"}) {
                    connect(url + "sslMode=" + mode, user, "päss").close();
                }
                try {
                    connect(url, user, "wrong");
                    expect(false, "a wrong password was taken");
                } catch (SQLException error) {
                    expect(error.getErrorCode() == 1045, "code 1045");
                }
            }
        }
    }

    private static void course(Connection conn) throws SQLException {
        try (Statement statement = conn.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS ship");
            statement.execute("CREATE TABLE ship (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30) UNIQUE, draught DECIMAL(6,2), seen DATETIME(3))");
            conn.setAutoCommit(false);
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO ship (name, draught, seen) VALUES (?, ?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 1; n <= 100; n++) {
                    insert.setString(1, "ship " + n);
                    insert.setBigDecimal(2, new BigDecimal(n).setScale(2));
                    insert.setTimestamp(3, java.sql.Timestamp.valueOf(SEEN));
                    insert.addBatch();
                }
                insert.executeBatch();
                try (ResultSet keys = insert.getGeneratedKeys()) {
                    expect(keys.next() && keys.getInt(1) == 1, "generated keys");
                }
            }
            conn.commit();
            try (PreparedStatement select = conn.prepareStatement("SELECT name, draught, seen FROM ship WHERE id > ? ORDER BY id")) {
                select.setFetchSize(7);
                for (int repeat = 0; repeat < 3; repeat++) {
                    fetch(select);
                }
            }
            statement.executeUpdate("DELETE FROM ship");
            conn.rollback();
            expect(number(statement, "SELECT COUNT(*) FROM ship") == 100, "rollback");
            conn.setAutoCommit(true);
            try (ResultSet columns = conn.getMetaData().getColumns("jdbc_check", null, "ship", null)) {
                int count = 0;
                while (columns.next()) {
                    count++;
                }
                expect(count == 4, "4 columns in the metadata, not " + count);
            }
            boolean rows = statement.execute("SELECT 1; SET @a = 2; SELECT @a");
            expect(rows, "the first result has rows");
            expect(!statement.getMoreResults(), "the second has none");
            expect(statement.getMoreResults(), "the third has rows");
        }
    }

    private static void fetch(PreparedStatement select) throws SQLException {
        select.setInt(1, 10);
        int rows = 0;
        try (ResultSet result = select.executeQuery()) {
            while (result.next()) {
                rows++;
                expect(result.getString(1).equals("ship " + (rows + 10)), "name");
                expect(result.getBigDecimal(2).intValue() == rows + 10, "draught");
                expect(result.getTimestamp(3).toString().equals(SEEN), "seen");
            }
        }
        expect(rows == 90, "90 rows, not " + rows);
    }

    private static void errors(Connection conn) throws SQLException {
        String[][] cases = {
            {"INSERT INTO ship (name) VALUES ('ship 5')", "1062", "23000"},
            {"SELEC 1", "1064", "42000"},
            {"SELECT * FROM nowhere", "1146", "42S02"},
        };
        try (Statement statement = conn.createStatement()) {
            for (String[] one : cases) {
                try {
                    statement.execute(one[0]);
                    expect(false, "an error from " + one[0]);
                } catch (SQLException error) {
                    expect(error.getErrorCode() == Integer.parseInt(one[1]) && error.getSQLState().equals(one[2]), one[0] + ": " + error);
                }
            }
        }
    }

    private static void types(Connection conn) throws SQLException {
        byte[] bytes = new byte[256];
        for (int n = 0; n < 256; n++) {
            bytes[n] = (byte) n;
        }
        BigInteger unsigned = new BigInteger("18446744073709551615");
        try (Statement statement = conn.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS every_type");
            statement.execute("CREATE TABLE every_type (id INT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,4), day DATE, b VARBINARY(300), t TEXT, j JSON, n INT)");
        }
        try (PreparedStatement insert = conn.prepareStatement("INSERT INTO every_type VALUES (1, ?, ?, ?, ?, ?, ?, ?)")) {
            insert.setBigDecimal(1, new BigDecimal(unsigned));
            insert.setBigDecimal(2, new BigDecimal("-1234567890123456.7891"));
            insert.setDate(3, java.sql.Date.valueOf("1999-12-31"));
            insert.setBytes(4, bytes);
            insert.setString(5, "Möwe 🐦 'quoted' \\");
            insert.setString(6, "{\"a\": [1, null]}");
            insert.setNull(7, Types.INTEGER);
            expect(insert.executeUpdate() == 1, "one row");
        }
        try (PreparedStatement select = conn.prepareStatement("SELECT u, d, day, b, t, j, n FROM every_type WHERE id = ?")) {
            select.setInt(1, 1);
            try (ResultSet row = select.executeQuery()) {
                expect(row.next(), "a row");
                expect(row.getObject(1).equals(unsigned), "unsigned");
                expect(row.getBigDecimal(2).toString().equals("-1234567890123456.7891"), "decimal");
                expect(row.getDate(3).toString().equals("1999-12-31"), "date");
                expect(Arrays.equals(row.getBytes(4), bytes), "bytes");
                expect(row.getString(5).equals("Möwe 🐦 'quoted' \\"), "text");
                expect(row.getString(6).equals("{\"a\": [1, null]}"), "JSON");
                expect(row.getInt(7) == 0 && row.wasNull(), "NULL");
            }
        }
    }

    private static void large(Connection conn, int size) throws SQLException {
        byte[] bytes = new byte[size];
        new java.util.Random(1).nextBytes(bytes);
        try (Statement statement = conn.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS large");
            statement.execute("CREATE TABLE large (id INT PRIMARY KEY, b LONGBLOB)");
        }
        try (PreparedStatement insert = conn.prepareStatement("INSERT INTO large VALUES (?, ?)")) {
            insert.setInt(1, 1);
            // A stream goes over in pieces, as long data, where the statement is prepared on the server.
            insert.setBinaryStream(2, new java.io.ByteArrayInputStream(bytes), bytes.length);
            insert.executeUpdate();
        }
        try (Statement statement = conn.createStatement(); ResultSet row = statement.executeQuery("SELECT b FROM large")) {
            expect(row.next() && Arrays.equals(row.getBytes(1), bytes), size + " bytes back");
        }
    }

    /** A statement's time limit makes the driver send KILL QUERY on a second connection; the first one lives on. */
    private static void stopped(Connection conn) throws SQLException {
        try (Statement statement = conn.createStatement()) {
            statement.setQueryTimeout(1);
            long started = System.nanoTime();
            try {
                statement.executeQuery("SELECT SLEEP(60) FROM ship");
                expect(false, "the time limit");
            } catch (java.sql.SQLTimeoutException error) {
                expect(System.nanoTime() - started < 10_000_000_000L, "the statement was stopped late");
            }
            statement.setQueryTimeout(0);
            expect(number(statement, "SELECT 7") == 7, "the connection goes on");
        }
    }

    private static int number(Statement statement, String query) throws SQLException {
        try (ResultSet result = statement.executeQuery(query)) {
            expect(result.next(), "a row");
            return result.getInt(1);
        }
    }

    private static void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }
}
