-- What may be read of which recipient:
--   open       every message that a possible sender sent there
--   contact    messages there of senders who agree (a direct message to a mirror dummy, a system bot, somebody not in set C)
--   protected  messages there that somebody in set C received (channels whose history is closed to new subscribers)

-- @select mode full
SELECT a.id, bool_or(a.is_open) AS is_open, bool_or(NOT a.is_open) AS is_contact, false AS is_protected
FROM (
  SELECT r.id, true AS is_open
  FROM exported_recipient r
  UNION ALL
  SELECT c.id, false AS is_open
  FROM contact_recipient c
) AS a
GROUP BY a.id

-- @select mode consent, release >= 12.0-beta1
SELECT a.id, bool_or(a.is_open) AS is_open, bool_or(a.is_contact) AS is_contact, bool_or(a.is_protected) AS is_protected
FROM (
  SELECT r.id,
         (t.invite_only IS FALSE OR COALESCE(sr.agreed, false)) AND t.history_public_to_subscribers IS NOT FALSE AS is_open,
         false AS is_contact,
         COALESCE(sr.agreed, false) AND t.history_public_to_subscribers IS FALSE AS is_protected
  FROM exported_recipient r
  LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
  LEFT JOIN subscribed_recipient sr ON sr.id = r.id
  UNION ALL
  SELECT c.id, false AS is_open, true AS is_contact, false AS is_protected
  FROM contact_recipient c
) AS a
GROUP BY a.id

-- Before, a public channel was open also where its history was protected.
-- @select mode consent
SELECT a.id, bool_or(a.is_open) AS is_open, bool_or(a.is_contact) AS is_contact, bool_or(a.is_protected) AS is_protected
FROM (
  SELECT r.id,
         t.invite_only IS FALSE OR (COALESCE(sr.agreed, false) AND t.history_public_to_subscribers IS NOT FALSE) AS is_open,
         false AS is_contact,
         COALESCE(sr.agreed, false) AND t.history_public_to_subscribers IS FALSE AS is_protected
  FROM exported_recipient r
  LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
  LEFT JOIN subscribed_recipient sr ON sr.id = r.id
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
