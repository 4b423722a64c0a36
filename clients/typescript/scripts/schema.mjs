/** JSON Schema as TypeScript, for as much of it as the specs use; anything else is an error. */

const REF = '#/components/schemas/';
/** Schemas of the specs that are not declared. */
const LEFT_OUT = new Set(['UnknownEvent']);
const KNOWN = new Set([
  ...['$ref', 'additionalProperties', 'anyOf', 'allOf', 'const', 'default', 'description', 'enum'],
  ...['examples', 'format', 'items', 'maxItems', 'maxLength', 'maximum', 'minItems', 'minLength'],
  ...['minimum', 'oneOf', 'pattern', 'properties', 'required', 'title', 'type', 'uniqueItems'],
  ...['contentMediaType', 'deprecated', 'readOnly', 'writeOnly', 'exclusiveMinimum'],
]);

/** Returns the exported declaration of a named schema. */
export function declaration(name, schema) {
  const about = doc(schema.description);
  const plain = schema.type === 'object' && !variants(schema) && schema.properties;
  if (plain) return `${about}export interface ${name} ${members(schema, new Set(), '')}\n`;
  return `${about}export type ${name} = ${typeOf(schema, new Set(), '')};\n`.replace(
    ' = \n',
    ' =\n',
  );
}

/** Returns the type of a schema; names that it refers to are added to `used`. */
export function typeOf(schema, used, indent) {
  if (schema === true) return 'unknown';
  for (const key of Object.keys(schema)) {
    if (!KNOWN.has(key) && !key.startsWith('x-'))
      throw new Error(`the generator does not know ${key}`);
  }
  const parts = [];
  if (schema.$ref) {
    const name = schema.$ref.replace(REF, '');
    used.add(name);
    parts.push(name);
  }
  if (schema.properties) parts.push(members(schema, used, indent));
  const union = variants(schema);
  if (union) parts.push(unionOf(union, used, indent, parts.length > 0));
  for (const part of schema.allOf ?? []) parts.push(typeOf(part, used, indent));
  if (parts.length > 0) return parts.join(' & ');
  if ('const' in schema) return JSON.stringify(schema.const).replaceAll('"', "'");
  if (schema.enum)
    return schema.enum.map((value) => typeOf({ const: value }, used, indent)).join(' | ');
  return simple(schema, used, indent);
}

/** Returns a documentation comment. */
export function doc(text, indent = '') {
  if (!text) return '';
  const lines = text.replaceAll('*/', '*\\/').split('\n');
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  const body = lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n');
  return `${indent}/**\n${body}\n${indent} */\n`;
}

function variants(schema) {
  const all = schema.oneOf ?? schema.anyOf;
  return all?.filter(({ $ref }) => !LEFT_OUT.has($ref?.replace(REF, '')));
}

function unionOf(all, used, indent, nested) {
  const deeper = `${indent}  `;
  const types = all.map((variant) => typeOf(variant, used, deeper));
  const oneLine = types.join(' | ');
  if (!types.some((type) => type.includes('\n')) && oneLine.length < 70) {
    return nested ? `(${oneLine})` : oneLine;
  }
  const lines = all.map(({ description }, at) => {
    return `\n${doc(description, deeper)}${deeper}| ${types[at]}`;
  });
  return nested ? `(${lines.join('')}\n${indent})` : lines.join('');
}

function members(schema, used, indent) {
  const required = new Set(schema.required ?? []);
  const deeper = `${indent}  `;
  const lines = Object.entries(schema.properties).map(([name, property]) => {
    const mark = required.has(name) ? '' : '?';
    const about = doc(property.description, deeper);
    return `${about}${deeper}${name}${mark}: ${typeOf(property, used, deeper)};\n`;
  });
  return `{\n${lines.join('')}${indent}}`;
}

function simple(schema, used, indent) {
  const types = [schema.type ?? 'unknown'].flat();
  return types.map((type) => named(type, schema, used, indent)).join(' | ');
}

function named(type, schema, used, indent) {
  switch (type) {
    case 'integer':
      return 'number';
    case 'array': {
      const item = typeOf(schema.items ?? {}, used, indent);
      return /^\w+$/.test(item) ? `${item}[]` : `(${item})[]`;
    }
    case 'object': {
      const values = schema.additionalProperties;
      return `Record<string, ${values ? typeOf(values === true ? {} : values, used, indent) : 'unknown'}>`;
    }
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
    case 'unknown':
      return type;
    default:
      throw new Error(`the generator does not know the type ${type}`);
  }
}
