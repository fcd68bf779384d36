-- Group direct messages with somebody of another realm.
-- @class recipient
-- @reason a group with somebody of another realm

SELECT g.id
FROM group_recipient g
WHERE NOT g.safe
