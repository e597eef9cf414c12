/*
 * Every route, once: method, path, roles, listener, largest body, rate
 * class, flags, handler. Included where it is expanded (route.c) and nowhere
 * else; docs/api.yaml is held against it by a test. Hot rows first.
 */
#define KB(n) ((size_t)(n) * 1024)
#define R_GATEWAY ROLE_GATEWAY
#define R_READ (ROLE_ADMIN | ROLE_AUDITOR)
#define R_LOOK (ROLE_ADMIN | ROLE_AUDITOR | ROLE_REVOKER)
#define R_REVOKE (ROLE_ADMIN | ROLE_REVOKER)
#define F_FORM ROUTE_OAUTH
/* clang-format off */
#define ROUTE_TABLE(X) \
/* OAuth */ \
X(POST, "/oauth2/introspect", R_GATEWAY | R_READ, API, KB(256), AUTHN, ROUTE_FAST | F_FORM | ROUTE_DEAD, api_introspect) \
X(POST, "/oauth2/token", ROLE_PUBLIC, API, KB(8), NONE, F_FORM | ROUTE_TOKEN | ROUTE_RUN, api_token) \
X(POST, "/oauth2/token", ROLE_DEVICE, DEVICE, KB(8), NONE, ROUTE_FAST | F_FORM | ROUTE_TOKEN, api_token_psk) \
X(POST, "/oauth2/revoke", R_REVOKE | R_GATEWAY, API, KB(8), AUTHN, F_FORM, api_revoke) \
X(POST, "/oauth2/revoke", ROLE_DEVICE, DEVICE, KB(8), NONE, F_FORM, api_revoke_psk) \
X(GET, "/oauth2/nonce", ROLE_PUBLIC, API, 0, NONE, ROUTE_FAST | ROUTE_OAUTH, api_nonce) \
X(GET, "/.well-known/jwks.json", ROLE_PUBLIC, API, 0, NONE, ROUTE_FAST, api_jwks) \
X(GET, "/.well-known/oauth-authorization-server", ROLE_PUBLIC, API, 0, NONE, ROUTE_FAST, api_metadata) \
X(GET, "/.well-known/oauth-authorization-server/t/{tenant}", ROLE_PUBLIC, API, 0, NONE, ROUTE_FAST | ROUTE_DEFAULT | ROUTE_TENANT, api_metadata) \
X(GET, "/.well-known/fealty-keys", ROLE_PUBLIC, API, 0, NONE, ROUTE_FAST, api_keyset) \
/* health */ \
X(GET, "/healthz", ROLE_PUBLIC, API, 0, NONE, ROUTE_FAST | ROUTE_DEFAULT, api_healthz) \
X(GET, "/readyz", ROLE_PUBLIC, API, 0, NONE, ROUTE_FAST, api_readyz) \
X(GET, "/metrics", R_READ, API, 0, AUTHN, ROUTE_DEFAULT, api_metrics) \
/* gateways */ \
X(POST, "/v1/psk", R_GATEWAY, API, KB(4), AUTHN, 0, api_psk) \
X(POST, "/v1/psk/used", R_GATEWAY, API, KB(8), AUTHN, 0, api_psk_used) \
X(GET, "/v1/audiences/{audience}/identity-keys", R_GATEWAY, API, 0, AUTHN, 0, api_identity_keys) \
/* revocation */ \
X(GET, "/v1/revocations/snapshot", R_GATEWAY | R_LOOK, API, 0, AUTHN, 0, api_snapshot) \
X(POST, "/v1/recover", ROLE_ADMIN, API, KB(1000), AUTHN, 0, api_recover) \
X(POST, "/v1/recover/held", R_GATEWAY, API, KB(1000), AUTHN, 0, api_held) \
X(GET, "/v1/recover/held", R_READ, API, 0, AUTHN, 0, api_held_report) \
X(GET, "/v1/revocations", R_GATEWAY | R_LOOK, API, 0, AUTHN, 0, api_feed) \
X(POST, "/v1/revocations", R_REVOKE, API, KB(4), AUTHN, 0, api_revocation) \
X(POST, "/v1/receipts", R_GATEWAY, API, KB(4), AUTHN, ROUTE_FAST, api_receipt) \
X(GET, "/v1/revocations/{position}/receipts", R_LOOK, API, 0, AUTHN, 0, api_receipts) \
X(POST, "/v1/explain", R_LOOK, API, KB(8), AUTHN, 0, api_explain) \
/* the burn */ \
X(POST, "/v1/orders/{order}/devices", ROLE_STATION, API, KB(4), AUTHN, 0, api_reserve) \
X(POST, "/v1/devices/{device_id}/release", ROLE_STATION, API, KB(4), AUTHN, 0, api_release) \
X(POST, "/v1/devices/{device_id}/confirm", ROLE_STATION, API, KB(4), AUTHN, 0, api_confirm) \
X(POST, "/v1/devices/{device_id}/void", ROLE_STATION | ROLE_ADMIN, API, KB(4), AUTHN, 0, api_void) \
X(GET, "/v1/devices/{device_id}/verify", ROLE_STATION, API, 0, AUTHN, 0, api_verify_challenge) \
X(POST, "/v1/devices/{device_id}/verify", ROLE_STATION, API, KB(4), AUTHN, 0, api_verify) \
/* tickets: burns without network */ \
X(POST, "/v1/orders/{order}/tickets", ROLE_STATION, API, KB(4), AUTHN, 0, api_ticket_pull) \
X(POST, "/v1/tickets/{ticket}/push", ROLE_STATION, API, KB(64), AUTHN, 0, api_ticket_push) \
/* devices */ \
X(GET, "/v1/devices", R_LOOK, API, 0, AUTHN, 0, api_device_list) \
X(GET, "/v1/devices/{device_id}", R_LOOK | ROLE_STATION, API, 0, AUTHN, 0, api_device_get) \
X(POST, "/v1/devices/{device_id}/suspend", R_REVOKE, API, KB(4), AUTHN, 0, api_device_suspend) \
X(POST, "/v1/devices/{device_id}/reinstate", R_REVOKE, API, KB(4), AUTHN, 0, api_device_reinstate) \
X(POST, "/v1/devices/{device_id}/revoke", R_REVOKE, API, KB(4), AUTHN, 0, api_device_revoke) \
X(POST, "/v1/devices/{device_id}/approve", ROLE_ADMIN, API, KB(4), AUTHN, 0, api_device_approve) \
/* registry */ \
X(POST, "/v1/tenants", ROLE_ADMIN, API, KB(4), AUTHN, ROUTE_DEFAULT, api_tenant_create) \
X(PUT, "/v1/audiences/{audience}", ROLE_ADMIN, API, KB(4), AUTHN, 0, api_audience_put) \
X(GET, "/v1/audiences", R_READ | ROLE_STATION, API, 0, AUTHN, 0, api_audience_list) \
X(POST, "/v1/orders", ROLE_ADMIN, API, KB(16), AUTHN, 0, api_order_create) \
X(GET, "/v1/orders", R_READ | ROLE_STATION, API, 0, AUTHN, 0, api_order_list) \
X(GET, "/v1/orders/{order}", R_READ | ROLE_STATION, API, 0, AUTHN, 0, api_order_get) \
X(GET, "/v1/orders/{order}/summary", R_READ | ROLE_STATION, API, 0, AUTHN, 0, api_order_summary) \
X(GET, "/v1/orders/{order}/manifest", R_READ, API, 0, AUTHN, 0, api_manifest) \
X(POST, "/v1/orders/{order}/close", ROLE_ADMIN, API, KB(4), AUTHN, 0, api_order_close) \
X(POST, "/v1/groups", ROLE_ADMIN, API, KB(4), AUTHN, 0, api_group_create) \
X(GET, "/v1/groups", R_READ, API, 0, AUTHN, 0, api_group_list) \
X(PUT, "/v1/groups/{number}/devices/{device_id}", ROLE_ADMIN, API, KB(4), AUTHN, 0, api_group_join) \
X(DELETE, "/v1/groups/{number}/devices/{device_id}", ROLE_ADMIN, API, 0, AUTHN, 0, api_group_leave) \
X(POST, "/v1/callers", ROLE_ADMIN, API, KB(4), AUTHN, 0, api_caller_create) \
X(GET, "/v1/callers", R_READ, API, 0, AUTHN, 0, api_caller_list) \
X(POST, "/v1/callers/{name}/disable", ROLE_ADMIN, API, KB(4), AUTHN, 0, api_caller_disable) \
X(GET, "/v1/audit", R_READ, API, 0, AUTHN, 0, api_audit_list) \
/* the device itself */ \
X(GET, "/v1/device", ROLE_DEVICE, DEVICE, 0, NONE, 0, api_device_self) \
X(GET, "/v1/device/peers", ROLE_DEVICE, DEVICE, 0, NONE, 0, api_device_peers) \
X(POST, "/v1/device/rotate", ROLE_DEVICE, DEVICE, KB(1), NONE, 0, api_rotate) \
X(GET, "/v1/device/rotate", ROLE_DEVICE, DEVICE, 0, NONE, 0, api_rotate_challenge) \
X(POST, "/v1/device/rotate/proof", ROLE_DEVICE, DEVICE, KB(1), NONE, 0, api_rotate_prove)
/* clang-format on */
