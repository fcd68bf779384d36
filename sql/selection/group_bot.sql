-- System bots that count as members of a group like the realm's own users: since Zulip 12, which keeps every direct message in a
-- group, all three. Before, a group with one of them was a group with another realm's user.

-- @select release >= 12
SELECT b.id
FROM zerver_userprofile b
WHERE b.id = ANY (:cross_realm_bot_ids)

-- @select
SELECT b.id
FROM zerver_userprofile b
WHERE b.id = ANY (:cross_realm_bot_ids) AND false
