-- The union of three parts: personal recipients that the users subscribe to, the realm's channels, and safe groups.

SELECT p.id, 1 AS type, p.type_id, p.is_open
FROM personal_recipient p
UNION ALL
SELECT r.id, r.type, r.type_id, true AS is_open
FROM zerver_recipient r
JOIN zerver_stream t ON t.id = r.type_id
WHERE r.type = 2 AND t.realm_id = :realm_id
UNION ALL
SELECT g.id, 3 AS type, g.type_id, true AS is_open
FROM group_recipient g
JOIN zerver_huddle h ON h.id = g.type_id
WHERE g.safe
