/** What the fields of a message are in the JSON of etcd's gateway: names as in the `.proto` file. Made once of each descriptor. */
import { type DescEnum, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';

/** How a value is written; `other` is what etcd's API has none of. */
export type JsonKind =
  | 'message'
  | 'enum'
  | 'bytes'
  | 'string'
  | 'bool'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'other';

/** One field. */
export interface JsonField {
  readonly number: number;
  /** The name with its quotes and colon. */
  readonly label: string;
  readonly kind: JsonKind;
  readonly list: boolean;
  /** Zero is a value as any other, and no absence. */
  readonly explicit: boolean;
  readonly oneof: object | undefined;
  readonly wireType: WireType;
  readonly message: DescMessage | undefined;
  readonly values: DescEnum | undefined;
}

/** All fields of a message. */
export interface JsonTable {
  /** By number; the numbers of etcd's API are small. */
  readonly byNumber: readonly (JsonField | undefined)[];
  /** By the name of the `.proto` file, and in lower camel case. */
  readonly byName: ReadonlyMap<string, JsonField>;
}

const SCALARS: Readonly<Partial<Record<ScalarType, JsonKind>>> = {
  [ScalarType.BYTES]: 'bytes',
  [ScalarType.STRING]: 'string',
  [ScalarType.BOOL]: 'bool',
  [ScalarType.INT32]: 'int32',
  [ScalarType.UINT32]: 'uint32',
  [ScalarType.INT64]: 'int64',
  [ScalarType.UINT64]: 'uint64',
};

const LENGTH_DELIMITED: readonly JsonKind[] = ['message', 'bytes', 'string'];

const tables = new WeakMap<DescMessage, JsonTable>();

/** The table of a message. */
export function jsonTable(schema: DescMessage): JsonTable {
  let table = tables.get(schema);
  if (table === undefined) {
    table = makeTable(schema);
    tables.set(schema, table);
  }
  return table;
}

function makeTable(schema: DescMessage): JsonTable {
  const byNumber: JsonField[] = [];
  const byName = new Map<string, JsonField>();
  for (const desc of schema.fields) {
    const field = makeField(desc);
    byNumber[desc.number] = field;
    byName.set(desc.name, field);
    byName.set(desc.jsonName, field);
  }
  return { byNumber, byName };
}

function makeField(desc: DescField): JsonField {
  const kind = kindOf(desc);
  return {
    number: desc.number,
    label: `${JSON.stringify(desc.name)}:`,
    kind,
    list: desc.fieldKind === 'list',
    explicit: desc.oneof !== undefined || desc.fieldKind === 'list',
    oneof: desc.oneof,
    wireType: LENGTH_DELIMITED.includes(kind) ? WireType.LengthDelimited : WireType.Varint,
    message: desc.message,
    values: desc.enum,
  };
}

function kindOf(desc: DescField): JsonKind {
  if (desc.fieldKind === 'map') return 'other';
  if (desc.message !== undefined) return desc.delimitedEncoding ? 'other' : 'message';
  if (desc.enum !== undefined) return 'enum';
  return (desc.scalar !== undefined && SCALARS[desc.scalar]) || 'other';
}
