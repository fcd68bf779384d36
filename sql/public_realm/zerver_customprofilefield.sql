-- Profile fields that the realm defines.
-- @file realm.json

SELECT t.*
FROM zerver_customprofilefield t
WHERE t.realm_id = :realm_id
