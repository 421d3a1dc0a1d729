# A tenant's users stay within it: in the path, in the header and in the query.
package tenancy

import rego.v1

default allow := false

claims := input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].verified_jwt

named contains tenant if ["tenants", tenant] = array.slice(input.parsed_path, 0, 2)

named contains tenant if tenant := input.attributes.request.http.headers["x-tenant"]

named contains tenant if some tenant in input.parsed_query.tenant

allow if {
	named == {claims.tenant}
}

allow if {
	claims.support == true
	count(named) == 1
	every tenant in named { data.tenants[tenant].support_allowed }
}
