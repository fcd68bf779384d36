-- Who may have sent an exported message: the exported users and the three system bots.

SELECT u.id, u.agrees
FROM exported_user u
UNION ALL
SELECT b.id, false AS agrees
FROM zerver_userprofile b
WHERE b.id = ANY (:cross_realm_bot_ids)
