// Compiles a JSON Schema with Ajv in its strict defaults, and prints for each document its errors, or null.
// Standard input has `schema` and `documents`.

const Ajv = require("ajv/dist/2020").default;

const { schema, documents } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const validate = new Ajv().compile(schema);
const judge = (document) => (validate(document) ? null : JSON.stringify(validate.errors));
console.log(JSON.stringify(documents.map(judge)));
