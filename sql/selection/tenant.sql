-- The realms of a run that exports many at once. The set form of a view (src/plan/views/set-form.ts) reads it where rows belong to every realm.

SELECT r.id
FROM zerver_realm r
WHERE r.id = ANY (:realm_ids)
