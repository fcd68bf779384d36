-- What may be read of which recipient:
--   open       every message that a possible sender sent there
--   contact    messages there of senders who agree (a direct message to a mirror dummy, a system bot, somebody not in set C)
--   protected  messages there that somebody in set C received (channels whose history is closed to new subscribers)

-- @select mode full
SELECT a.id, bool_or(a.is_open) AS is_open, bool_or(NOT a.is_open) AS is_contact, false AS is_protected
FROM (
  SELECT r.id, r.is_open
  FROM exported_recipient r
  UNION ALL
  SELECT c.id, false AS is_open
  FROM contact_recipient c
) AS a
GROUP BY a.id

-- @select mode consent
SELECT a.id, bool_or(a.is_open) AS is_open, bool_or(a.is_contact) AS is_contact, bool_or(a.is_protected) AS is_protected
FROM (
  SELECT o.id, o.is_open, false AS is_contact, o.is_protected
  FROM opened_recipient o
  UNION ALL
  SELECT c.id, false AS is_open, true AS is_contact, false AS is_protected
  FROM contact_recipient c
) AS a
GROUP BY a.id

-- @select mode public
SELECT r.id, true AS is_open, false AS is_contact, false AS is_protected
FROM exported_recipient r
JOIN zerver_stream t ON t.id = r.type_id
WHERE r.type = 2 AND NOT t.invite_only
