-- pandoc begins each chapter of a book with an empty paragraph that bears its file's name; a document needs none.
function Pandoc(document)
  local first = document.blocks[1]
  if first and first.t == "Para" and #first.content == 1 and first.content[1].t == "Span" and #first.content[1].content == 0 then
    document.blocks:remove(1)
  end
  return document
end
