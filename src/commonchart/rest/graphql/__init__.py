"""GraphQL over the record: the schema, what a document asks, how it is answered. http://hl7.org/fhir/R4/graphql.html."""
