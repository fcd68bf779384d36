-- Messages of the realm that fit no rule.
-- @class message
-- @reason the sender or the recipient is not in the export, or a mirror dummy or system bot wrote to another

-- Asked of the pairs of sender and recipient, which an index has: only the messages of a pair that fits no rule are looked up.
-- @select mode full, release >= 8
SELECT m.id
FROM (
  SELECT d.sender_id, d.recipient_id
  FROM zerver_message d
  LEFT JOIN addressee a ON a.id = d.recipient_id
  LEFT JOIN group_recipient g ON g.id = d.recipient_id
  LEFT JOIN possible_sender s ON s.id = d.sender_id
  WHERE d.realm_id = :realm_id AND (COALESCE(g.safe, true) OR s.id IS NULL)
    AND NOT COALESCE(s.id IS NOT NULL AND (a.is_open OR (a.is_contact AND s.agrees)), false)
  GROUP BY d.sender_id, d.recipient_id
) AS stray
JOIN zerver_message m ON m.sender_id = stray.sender_id AND m.recipient_id = stray.recipient_id
WHERE m.realm_id = :realm_id

-- @select mode full
SELECT m.id
FROM staying_message m
