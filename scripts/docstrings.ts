/**
 * Holds that every export of a public module is documented: `npm run docstrings`.
 *
 * Each has a docstring with `@since` and one `@category` of a closed list, so that an index of the API can be made from
 * them. What is `@internal` is exempt.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { filesIn, report, root } from "./files.js"

const categories = [
  "type ids",
  "models",
  "constructors",
  "combinators",
  "accessors",
  "guards",
  "services",
  "layers",
  "errors",
  "events",
  "commands",
  "markers",
  "operations",
  "references",
  "encoding"
]

const problems: Array<string> = []
let documented = 0

/** What is wrong with the docstring of an exported statement. */
const refuse = (statement: ts.Statement): string | undefined => {
  const tags = ts.getJSDocTags(statement)
  const valueOf = (tag: string) =>
    tags.filter(({ tagName }) => tagName.text === tag).map(({ comment }) => ts.getTextOfJSDocComment(comment))
  if (valueOf("internal").length > 0) return undefined
  if (valueOf("since").length !== 1) return "lacks @since"
  const [category, ...more] = valueOf("category")
  if (category === undefined || more.length > 0) return "has no @category, or more than one"
  return categories.includes(category) ? undefined : `@category "${category}" is none of ${categories.join(", ")}`
}

const namesOf = (statement: ts.Statement): string =>
  ts.isVariableStatement(statement)
    ? statement.declarationList.declarations.map(({ name }) => name.getText()).join(", ")
    : (statement as ts.DeclarationStatement).name?.getText() ?? "a declaration"

const isExported = (statement: ts.Statement): boolean =>
  ts.canHaveModifiers(statement) &&
  ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true

for (const file of filesIn("src", ".ts").filter((path) => !/internal|index\.ts$/.test(path))) {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), "utf8"), ts.ScriptTarget.Latest, true)
  const seen = new Set<string>()
  for (const statement of source.statements.filter(isExported)) {
    const name = namesOf(statement)
    // The further signatures of an overloaded function are described by the first.
    if (ts.isFunctionDeclaration(statement) && seen.has(name)) continue
    seen.add(name)
    documented++
    const refusal = refuse(statement)
    if (refusal !== undefined) {
      const line = source.getLineAndCharacterOfPosition(statement.getStart()).line + 1
      problems.push(`${file}:${line}: ${name} ${refusal}`)
    }
  }
}

report(problems, `${documented} exports are documented`)
