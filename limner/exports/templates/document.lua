-- Formulas are code with a class; pandoc sets them as formulas.
function Code(code)
  if code.classes:includes("math-inline") then
    return pandoc.Math("InlineMath", code.text)
  elseif code.classes:includes("math-block") then
    return pandoc.Math("DisplayMath", code.text)
  end
end

-- In a list, pandoc would make a form's checkbox of a bare ballot box: one that can be ticked, and only where it is empty.
function Str(word)
  if word.text == "☐" or word.text == "☒" then
    return pandoc.Span({ word })
  end
end

-- pandoc begins each chapter of a book with an empty paragraph that bears its file's name; a document needs none.
function Pandoc(document)
  local first = document.blocks[1]
  if first and first.t == "Para" and #first.content == 1 and first.content[1].t == "Span" and #first.content[1].content == 0 then
    document.blocks:remove(1)
  end
  return document
end
