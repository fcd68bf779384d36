-- Which login methods the realm allows.
-- @file realm.json

SELECT t.*
FROM zerver_realmauthenticationmethod t
WHERE t.realm_id = :realm_id
