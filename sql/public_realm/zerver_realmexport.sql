-- The realm's earlier exports (Zulip's bookkeeping).
-- @file realm.json

SELECT t.*
FROM zerver_realmexport t
WHERE t.realm_id = :realm_id
