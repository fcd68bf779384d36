-- Personal recipients of those whose private data stays (mirror dummies, system bots, people outside set C), and those that are not open: what
-- somebody who agrees sent there travels. A recipient that is not in the export cannot be named by a message that is.

SELECT r.id
FROM exported_recipient r
JOIN possible_sender p ON p.id = r.type_id
WHERE r.type = 1 AND (NOT p.agrees OR NOT r.is_open)
UNION
SELECT b.recipient_id AS id
FROM zerver_userprofile b
WHERE b.id = ANY (:cross_realm_bot_ids)
