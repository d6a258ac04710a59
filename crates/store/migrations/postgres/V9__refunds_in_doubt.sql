-- The few refunds of which the outcome is unknown (6), and which a person must look at (9).
CREATE INDEX refunds_in_doubt ON refunds (state) WHERE state IN (6, 9);
