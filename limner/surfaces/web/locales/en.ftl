### The studio's words.

# Frame
nav = Main
nav-jobs = Articles
nav-libraries = Libraries
nav-new = New article
home = limner, all articles
language = Language
skip = Skip to content
nowhere = Page not found.
loading = Loading …
close = Close
back = Back
more = Show more
search = Search
filter = Filter
delete = Delete
remove = Remove
remove-of = Remove { $name }
edit = Edit
answer = Review
cancel = Stop
retry = Resume
new-max_cost = New limit in US dollars
new-max_tokens = New limit in tokens
apply = Apply
discard = Discard
reset = Discard my changes
tools = Tools
offline-line = limner can’t be reached. Your changes are kept on this device and sent when it’s back.
offline-banner = No connection. Your changes are kept on this device and sent when it’s back.
token = Token
token-title = This server needs a token
token-about = Ask your administrator for one (`limner token add NAME`). It is kept for this tab only.
token-use = Continue
tokens = { $n } tokens
span-seconds = { $s } s
span-minutes = { $m } min { $s } s
span-hours = { $h } h { $m } min
images-count = { $n ->
    [one] { $n } image
   *[other] { $n } images
}

# Keys
keys-title = Keyboard shortcuts
key-help = Show keyboard shortcuts
key-next = Next
key-previous = Previous
key-search = Search
key-edit = Edit the selection
key-escape = Cancel or deselect
key-lock = Lock or unlock
key-rewrite = Ask for a rewrite
key-candidates = Search for other images
key-pick = Use alternative 1 to 9

# Jobs
jobs-title = Articles
jobs-none = limner writes articles from a brief, or takes yours, and illustrates them with your own images.
doors = Start
door-draft = Paste a draft
door-draft-hint = Your text stays as it is; limner adds the images.
door-brief = Write from a brief
door-brief-hint = A title is enough. A model writes, and you review where you like.
try-sample = Try the sample
try-sample-hint = A text about nearby worlds, illustrated with NASA’s photographs.
jobs-none-found = No articles match.
search-jobs = Search by title
filter-all = All
filter-going = In progress
filter-waiting = Waiting for you
filter-done = Done
filter-ended = Stopped or failed
state-queued = Queued
state-running = In progress
state-waiting = Waiting for you
state-parked = Paused
state-done = Done
state-failed = Failed
state-cancelled = Stopped
state-set-aside = Set aside
state-stuck = No response
step-none = Not started
step-outline = Outlining
step-write = Writing
step-spot = Finding places for images
step-retrieve = Searching for images
step-select = Choosing images
step-arrange = Arranging
step-check = Checking images
step-generate = Generating images
step-revise = Revising
step-review = Preparing your review
progress-of = Progress of { $title }
to-go = about { $time } left
cancel-of = Stop { $title }
retry-of = Resume { $title }
delete-of = Delete { $title }
delete-title = Delete this article?
delete-about = “{ $title }” and its history will be deleted permanently.
delete-for-good = Delete permanently
keep = Cancel

# New article
new-title = New article
new-kind = Start from
kind-brief = A brief
kind-draft = A draft
text-brief = What’s the article about?
text-brief-hint = A title is enough. If you give an outline or a long text, the article follows it.
text-brief-example = How bees make honey
text-draft = Your text
text-draft-hint = Markdown or plain text. Images are added; your words stay exactly as they are.
text-draft-example = # How bees make honey …
materials = Source material
materials-hint = Texts the writer may draw on: .txt or .md, up to 20.
references = Reference images
references-hint = Your own images for the article, up to 10.
new-libraries = Image libraries
new-libraries-hint = If you pick none, the starter library is used.
new-images = Number of images
images-auto = As many as fit
new-language = Language
new-language-auto = Same as the brief
new-review = Pause for my review
new-review-hint = Take as long as you like; waiting costs nothing.
new-batch = Low priority: run after everything else
point-outline = Outline
point-draft = Text
point-spots = Places for images
point-images = Images
point-final = Finished article
estimate = Estimate
begin = Start
plan-title = Estimate
plan-busy = Estimating …
plan-tokens = Tokens (about)
plan-time = Time (about)
plan-left = Tokens left today

# Live
live-text = Article so far
live-nothing = The first words will appear here.
live-lost = Connection lost. Anything missed appears once it is back.
event-parked = Paused:
event-put-back = Back in the queue.
event-lapsed = A worker stopped; another one has taken over.
event-retried = Resumed.
event-answered = Answered.

# Review
review-outline = Review the outline
review-draft = Review the text
review-spots = Review the places for images
review-images = Review the images
review-final = Review the article
respond = Or ask for a change
respond-example = Shorter, and more about the flowers
respond-send = Send
answer-accept = Approve and continue
answer-edit = Continue with my changes
spot-caption = What the image should show
spot-search = Search terms (English)
spot-add = Add an image after
no-image = No image
generated = Generated image

# Editor
saved-saved = Saved
saved-saving = Saving …
saved-offline = Kept on this device until limner is back
saved-conflict = Two versions to compare
undo = Undo
redo = Redo
history = History
export = Export
margin = Tools for the selection
typing = Markdown of this block
typing-rich = Text of this block
edit-markdown = Edit as Markdown
bubble = Formatting
bubble-strong = Bold
bubble-em = Italic
bubble-code = Code
bubble-link = Link
bubble-heading = Heading
bubble-bullet_list = List
bubble-blockquote = Quote
link-address = Address of the link
link-refused = Only web and mail addresses can be linked.
inserting = New text
drag = Move
drag-lifted = { $name } picked up. Move it with the arrow keys, drop it with Enter, cancel with Escape.
drag-over = { $n } of { $of }, after “{ $words }”
drag-first = { $n } of { $of }, at the very start
drag-dropped = Now { $n } of { $of }.
drag-left = Not moved.
locked = locked
lock = Lock
unlock = Unlock
is-locked = This block is locked. Unlock it first.
move-up = Move up
move-down = Move down
insert-before = Insert text before
insert-after = Insert text after
place-image = Insert image after
split = Split
split-hint = Click where you want to split the paragraph, then choose Split.
merge = Join with next
kind-heading = Heading
kind-paragraph = Paragraph
kind-verbatim = Kept as is
kind-image = Image
kind-title = Title
said = Ask for a change
said-part = For “{ $words }”
said-example = In plainer words
instruction-rewrite = Rewrite
instruction-expand = Make longer
instruction-shorten = Make shorter
instruction-write = New paragraph
instruction-restyle = Change the tone
instruction-translate = Translate into
instruction-regenerate = Regenerate (locked parts stay)
instruction-instruct = Instruction
write-before = Write a paragraph before
write-after = Write a paragraph after
anew-text = Text
anew-images = Images
anew-all = Text and images
instruct = Ask for a change
instruct-example = Shorten the introduction and put an image of the hive before the honey
propose = Preview
whole-more = Tone, language, title
whole-article = Whole article
tone-example = For ten-year-olds
article-title = Title
article-language = Language of the article
hint-start = Click a paragraph to edit it, or an image to see alternatives. Press ? for keyboard shortcuts.
proposal-title = Proposed changes
proposal-busy = Waiting for the model …
proposal-what = Asked for: { $says }
change-added = New
change-changed = Changed
change-removed = Removed
change-moved = Moved
change-locked = Locked
change-unlocked = Unlocked
change-none = No changes.

# Images
caption = Caption
alt = Alternative text
credit = Credit
licence = Licence
candidates = Alternatives
why = Why this image
score = Match
words = Caption & credit
search-caption = Search for an image
like = More like this
like-but = Like this, but …
like-of = Like “{ $caption }”
like-end = Show all
used = already used
found-none = No images found. Try other words.
upload = Upload an image
uploading = Uploading …
crop = Crop
crop-title = Crop the image
crop-whole = Whole image
crop-left = Left
crop-top = Top
crop-width = Width
crop-height = Height


# Export
export-title = Export
export-format = Format
export-save = Save { $format }
export-open = Open in a new tab
preview = Preview
format-html = Web page
format-pdf = PDF
format-docx = Word
format-epub = E-book
format-md = Markdown
format-zip = ZIP
format-json = JSON
format-html-about = A single page with its images inside.
format-pdf-about = A document to print, accessible to screen readers.
format-docx-about = A Word document with its images inside.
format-epub-about = An e-book with its images inside.
format-md-about = The text, with links to its images.
format-zip-about = Web page, Markdown, data and image files in one archive.
format-json-about = The article with a record of every choice.

# History
compare = Changes
compare-from = From version
compare-to = To version
back-to-article = Back to the article
go-back = Restore
go-to = Restore version { $n }
head = Current
by-model = Model

# Libraries
libraries-none = No libraries yet. Your first article creates the starter library. To make one from a folder of images:
library-about = { $n } images, { $described } with a caption, { $licensed } with a licence
library-search = What should the image show?
library-empty = This library has no images.
own-library = Your own images
own-delete = Delete this image
own-delete-title = Delete this image?
shape = Orientation
without-none = All images
without-caption = Without a caption
without-alt = Without alternative text
without-credit = Without a credit
without-licence = Without a licence
without-count = { $n ->
    [one] { $n } image to fill in
   *[other] { $n } images to fill in
}
without-all = Nothing left to fill in.
words-of = About this image
words-edit = Edit its caption
words-bare = This is the file name. Write a caption; Enter saves it and opens the next image.
words-written = Edited here.
words-reset = Use the folder’s caption
words-unsaved = Not saved yet
words-refused = A caption could not be saved. { $why } Open the image again: what you typed is there.
machine-made = machine-made
machine-made-keep = Keep it as mine
suggest = Suggest captions
suggest-about = A model describes the images that have no caption. Its captions are marked as machine-made; yours take precedence. They appear as they are written.
suggest-start = Start
suggest-none = Every image has a caption.
suggesting = { $n } of { $of } images
suggested = Captions written: { $n }. Left out: { $left }.
suggested-delete = Delete machine-made captions
suggested-delete-about = The captions and alternative texts that a model wrote for { $n } images will be deleted. Yours and the folder’s stay.
fits-landscape = Landscape
fits-portrait = Portrait
fits-square = Square
limits = Only images with…
limit-licence = Licence
limit-tag = Keyword
limit-tag-example = harvest
limit-from = Taken from
limit-to = Taken until
limit-folder = Folder
limit-any = Any
limit-none = No images match these filters.
limit-outside = Articles don’t use this image: its embargo hasn’t ended, or it has expired.
fact-tag = Keywords
fact-person = People shown
fact-place = Place
fact-city = City
fact-state = State
fact-country = Country
fact-event = Event
fact-date = Taken
fact-rating = Rating
fact-embargo = Embargo until
fact-expires = Usable until
fact-added = Added
fact-text = Text in the picture

# Many images
picture-size = Size of the images
select-of = Select { $name }
selection = Selected images
selected = { $count ->
    [one] { $n } image selected
   *[other] { $n } images selected
}
select-all = Select all { $n }
select-most = Select the first { $n }
select-none = Clear the selection
key-select = Select or deselect the image
key-select-all = Select all images shown
many-title = { $count ->
    [one] Caption and credit of { $n } image
   *[other] Caption and credit of { $n } images
}
many-start = { $count ->
    [one] Change { $n } image
   *[other] Change { $n } images
}
many-different = Different values
many-empty = Empty: it will be removed.
many-caption-empty = A caption can’t be empty.
many-only-empty = Only fill empty fields
many-change-title = Changing images
many-undo-title = Undoing
many-delete-title = Deleting images
many-going = { $n } of { $of }
many-change-done = { $count ->
    [one] { $n } image changed.
   *[other] { $n } images changed.
}
many-undo-done = { $count ->
    [one] { $n } image is as it was.
   *[other] { $n } images are as they were.
}
many-delete-done = { $count ->
    [one] { $n } image deleted.
   *[other] { $n } images deleted.
}
many-not = { $count ->
    [one] { $n } image is left as it was.
   *[other] { $n } images are left as they were.
}
many-left = { $count ->
    [one] Stopped before { $n } more image.
   *[other] Stopped before { $n } more images.
}
own-delete-many = { $count ->
    [one] Delete { $n } image?
   *[other] Delete { $n } images?
}
own-delete-about = They will be deleted permanently. Images that an article uses are kept.

# Captioning
captioning = Write captions
captioning-next = Save and next
captioning-previous = Save and previous
captioning-end = Back to the library
captioning-of-caption = { $n } of { $of } without a caption
captioning-of-alt = { $n } of { $of } without alternative text
captioning-of-credit = { $n } of { $of } without a credit
captioning-of-licence = { $n } of { $of } without a licence
captioning-of-all = { $n } of { $of }
captioning-over = That was the last one.
captioning-example = What does the image show?
captioning-alt-hint = For people who can’t see it
captioning-carry = Use this credit and licence for the next images
captioning-waiting = { $count ->
    [one] { $n } image not saved yet
   *[other] { $n } images not saved yet
}

# What is kept
saved-kept = Kept on this device
saved-not = Not saved yet
kept-restored = Your unsaved text has been restored.
removed-block = Paragraph deleted.
removed-image = Image removed.
joined-blocks = Paragraphs joined.
undo-others = The last change is { $who }’s.
undo-anyway = Undo it anyway
undo-late = The article has changed since then. The history has every version.
undo-moved = The article was changed elsewhere. This is the current version; undo again if you still want to.
proposal-kept = Proposal kept.
proposal-again = Show again
proposal-applied = Changes applied.
palette = Find anything
palette-search = Search commands, articles and libraries
palette-none = Nothing found.
palette-go = Page
palette-look = Display
palette-article = Article
palette-library = Library
theme-system = Theme: system
theme-light = Theme: light
theme-dark = Theme: dark
beside = Two versions
beside-theirs = In the article now
beside-mine = Yours
met-own-tab = You changed this in another tab.
met-other = { $who } has changed this.
met-elsewhere = This was changed elsewhere.
met-anyway = Do it anyway
gone-own-tab = You deleted this in another tab.
gone-other = { $who } has deleted this.
gone-elsewhere = This was deleted elsewhere.
held-refused = Not saved: { $line }
held-again = Try again
held-back = Put it back
held-mine = Use mine
held-both = Keep both
held-theirs = Discard my change
held-dropped = Change discarded.
list-comma = { ", " }
