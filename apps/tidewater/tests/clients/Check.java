// The course of work for JDBC. Usage: java -cp mysql-connector-j.jar Check.java PORT
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

public class Check {
    public static void main(String[] args) throws Exception {
        for (boolean serverSide : new boolean[] {false, true}) {
            course(args[0], serverSide);
        }
        System.out.println("jdbc: ok");
    }

    private static void course(String port, boolean serverSide) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", "root");
        properties.setProperty("useServerPrepStmts", Boolean.toString(serverSide));
        properties.setProperty("useCursorFetch", Boolean.toString(serverSide));
        properties.setProperty("rewriteBatchedStatements", "true");
        properties.setProperty("createDatabaseIfNotExist", "true");
        try (Connection conn = DriverManager.getConnection("jdbc:mysql://127.0.0.1:" + port + "/jdbc_check", properties);
                Statement statement = conn.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS ship");
            statement.execute("CREATE TABLE ship (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(30) UNIQUE, draught DECIMAL(6,2), seen DATETIME(3))");
            conn.setAutoCommit(false);
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO ship (name, draught, seen) VALUES (?, ?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 1; n <= 100; n++) {
                    insert.setString(1, "ship " + n);
                    insert.setBigDecimal(2, new BigDecimal(n).setScale(2));
                    insert.setTimestamp(3, java.sql.Timestamp.valueOf("2024-02-29 01:02:03.456"));
                    insert.addBatch();
                }
                insert.executeBatch();
            }
            conn.commit();
            try (PreparedStatement select = conn.prepareStatement("SELECT name, draught, seen FROM ship WHERE id > ? ORDER BY id")) {
                select.setFetchSize(7);
                select.setInt(1, 10);
                int rows = 0;
                try (ResultSet result = select.executeQuery()) {
                    while (result.next()) {
                        rows++;
                        expect(result.getString(1).equals("ship " + (rows + 10)), "name");
                        expect(result.getBigDecimal(2).intValue() == rows + 10, "draught");
                        expect(result.getTimestamp(3).toString().equals("2024-02-29 01:02:03.456"), "seen");
                    }
                }
                expect(rows == 90, "90 rows, not " + rows);
            }
            statement.executeUpdate("DELETE FROM ship");
            conn.rollback();
            try (ResultSet result = statement.executeQuery("SELECT COUNT(*) FROM ship")) {
                expect(result.next() && result.getInt(1) == 100, "rollback");
            }
            try {
                statement.executeUpdate("INSERT INTO ship (name) VALUES ('ship 5')");
                expect(false, "a duplicate key");
            } catch (SQLException error) {
                expect(error.getErrorCode() == 1062 && error.getSQLState().equals("23000"), "code 1062");
            }
            conn.rollback();
            try (ResultSet columns = conn.getMetaData().getColumns("jdbc_check", null, "ship", null)) {
                int count = 0;
                while (columns.next()) {
                    count++;
                }
                expect(count == 4, "4 columns in the metadata, not " + count);
            }
        }
    }

    private static void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }
}
