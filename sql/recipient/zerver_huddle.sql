-- Group direct messages; unsafe groups stay.
-- @file realm.json

SELECT h.*
FROM zerver_huddle h
JOIN group_recipient g ON g.type_id = h.id
WHERE g.safe
