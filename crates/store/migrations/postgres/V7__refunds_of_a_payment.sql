-- Nothing changes here: rows of a table are not kept in the order of a key, and the index
-- refunds_by_payment costs little. SQLite keeps the refunds of a payment as a chain instead.
SELECT 1;
