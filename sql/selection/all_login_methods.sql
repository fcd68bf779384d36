-- The realm with its login methods as pairs of name and whether it allows them; until Zulip 6 they are bits. (Since then they
-- are rows of zerver_realmauthenticationmethod, and the column is gone.)

-- @table zerver_realm

SELECT r.*,
       jsonb_build_array(
         jsonb_build_array('Google', mod(r.authentication_methods, 2) = 1),
         jsonb_build_array('Email', mod(r.authentication_methods / 2, 2) = 1),
         jsonb_build_array('GitHub', mod(r.authentication_methods / 4, 2) = 1),
         jsonb_build_array('LDAP', mod(r.authentication_methods / 8, 2) = 1),
         jsonb_build_array('Dev', mod(r.authentication_methods / 16, 2) = 1),
         jsonb_build_array('RemoteUser', mod(r.authentication_methods / 32, 2) = 1),
         jsonb_build_array('AzureAD', mod(r.authentication_methods / 64, 2) = 1),
         jsonb_build_array('SAML', mod(r.authentication_methods / 128, 2) = 1),
         jsonb_build_array('GitLab', mod(r.authentication_methods / 256, 2) = 1),
         jsonb_build_array('Apple', mod(r.authentication_methods / 512, 2) = 1),
         jsonb_build_array('OpenID Connect', mod(r.authentication_methods / 1024, 2) = 1)
       ) AS authentication_methods
FROM zerver_realm r
WHERE r.id = :realm_id
