### The studio's words.

# Frame
nav = Main
nav-jobs = Articles
nav-libraries = Libraries
nav-new = New article
home = limner, all articles
language = Language
skip = Skip to the content
nowhere = There is nothing here.
loading = One moment …
close = Close
back = Back
more = Show more
search = Search
filter = Filter
delete = Delete
remove = Remove
remove-of = Remove { $name }
edit = Edit
answer = Answer
cancel = Stop
retry = Go on
apply = Apply
discard = Discard
reset = Undo my changes
tools = Tools
offline-line = limner cannot be reached just now. What you do is kept and sent as soon as it can be.
offline-banner = No connection. What you do is kept and sent as soon as it is back.
token = Token
token-title = This installation asks for a token
token-about = Whoever runs it makes one with `limner token add NAME`. It is kept for this tab only.
token-use = Use it
tokens = { $n } tokens
span-seconds = { $s } s
span-minutes = { $m } min { $s } s
span-hours = { $h } h { $m } min
images-count = { $n ->
    [one] { $n } image
   *[other] { $n } images
}

# Keys
keys-title = Keys
key-help = This list
key-next = Next
key-previous = Previous
key-search = Search
key-edit = Edit what is chosen
key-escape = Leave what is being done
key-lock = Lock or unlock
key-rewrite = Ask for a rewrite
key-candidates = Search other images
key-pick = Take candidate 1 to 9

# Jobs
jobs-title = Articles
jobs-none = No article yet. Begin with a few words.
jobs-none-found = Nothing here fits.
search-jobs = Search titles
filter-all = All
filter-going = In the making
filter-waiting = Waiting for you
filter-done = Done
filter-ended = Ended
state-queued = Queued
state-running = Being made
state-waiting = Waiting for you
state-parked = Parked
state-done = Done
state-failed = Failed
state-cancelled = Stopped
state-set-aside = Set aside
state-stuck = Stuck?
step-none = Not begun
step-outline = Outline
step-write = Writing
step-spot = Finding places for images
step-retrieve = Searching images
step-select = Choosing images
step-arrange = Arranging
progress-of = Progress of { $title }
to-go = about { $time } to go
cancel-of = Stop { $title }
retry-of = Go on with { $title }
delete-of = Delete { $title }
delete-title = Delete this article?
delete-about = “{ $title }” and its history will be gone for good.
delete-for-good = Delete for good
keep = Keep it

# New article
new-title = New article
new-kind = What you have
kind-brief = From a brief
kind-draft = From a draft
text-brief = What shall the article be about?
text-brief-hint = A title is enough. An outline or a long text is followed.
text-brief-example = How bees make honey
text-draft = Your text
text-draft-hint = Markdown or plain text. It is illustrated and otherwise left exactly as it is.
text-draft-example = # How bees make honey …
materials = Materials
materials-hint = Texts the writer may draw on: .txt or .md, at most 20.
references = Reference images
references-hint = Pictures of your own that the article should use, at most 10.
new-libraries = Image libraries
new-libraries-hint = None takes the starter library.
new-images = Images
images-auto = As many as fit
new-language = Language
new-language-auto = That of the brief
new-review = Stop for me at
new-review-hint = It waits as long as you like, and costs nothing meanwhile.
new-batch = No hurry: after everything else
point-outline = the outline
point-draft = the text
point-spots = the places for images
point-images = the images
point-final = the finished article
estimate = Estimate
begin = Begin
plan-title = What this will take
plan-busy = Estimating …
plan-tokens = Tokens, about
plan-time = Time, about
plan-left = Tokens left today

# Live
live-text = The article so far
live-nothing = The first words will appear here.
live-lost = The connection is lost; what is missed is shown once it is back.
event-parked = Parked:
event-put-back = Put back to the queue.
event-lapsed = Its worker was lost; another goes on.
event-retried = Goes on.
event-answered = Answered.

# Review
review-outline = The outline is ready for you
review-draft = The text is ready for you
review-spots = The places for images are ready for you
review-images = The images are ready for you
review-final = The article is ready for you
respond = Or say what shall be different
respond-example = Shorter, and more about the flowers
respond-send = Send
answer-accept = Good, go on
answer-edit = Go on with my changes
spot-caption = What the image should show
spot-search = Search words, in English
spot-add = Another image after
no-image = No image

# Editor
saved-saved = Saved
saved-saving = Saving …
saved-offline = Not sent yet
saved-conflict = Waiting for you
undo = Undo
redo = Redo
history = History
export = Export
margin = Tools for what is chosen
typing = Markdown of this block
inserting = New text
drag = Move
drag-lifted = { $name } is lifted. The arrow keys move it, Enter puts it down, Escape leaves it where it was.
drag-over = { $n } of { $of }, after “{ $words }”
drag-first = { $n } of { $of }, at the very front
drag-dropped = Now { $n } of { $of }.
drag-left = It stays where it was.
locked = locked
lock = Lock
unlock = Unlock
is-locked = This is locked. Unlock it first.
move-up = Up
move-down = Down
insert-before = Text before
insert-after = Text after
place-image = Image after
split = Split
split-hint = Click where it shall be cut, then Split
merge = Join with next
kind-heading = Heading
kind-paragraph = Paragraph
kind-verbatim = Kept as it is
kind-image = Image
kind-title = Title
said = Ask for it in words
said-part = For “{ $words }”
said-example = In plainer words
wish-rewrite = Rewrite
wish-expand = Expand
wish-shorten = Shorten
wish-write = New paragraph
wish-restyle = Another tone
wish-translate = Translate into
wish-regenerate = Anew, except what is locked
wish-instruct = Instruction
write-before = Write one before
write-after = Write one after
anew-text = Text
anew-images = Images
anew-all = Everything
instruct = Say what shall be different
instruct-example = Make the introduction shorter and put a picture of the hive before the honey
propose = Show me
whole-more = Tone, language, title
whole-article = The whole article
tone-example = For ten-year-olds
article-title = Title
article-language = Language of the article
hint-start = Click a paragraph to type over it, an image to see what else there is. Press ? for all keys.
proposal-title = This is what would change
proposal-busy = The model is thinking …
proposal-what = Asked: { $says }
change-added = New
change-changed = Changed
change-removed = Removed
change-moved = Moved
change-locked = Locked
change-unlocked = Unlocked
change-none = Nothing would be different.

# Images
caption = Caption
alt = Alternative text
credit = Credit
licence = Licence
candidates = Instead of this one
why = Why this one
score = Fits
words = Its words
search-caption = Search by a caption
like = Like this
like-but = Like this, but …
used = in the article
found-none = Nothing was found. Try other words.
upload = Own image
uploading = Sending …
crop = Crop
crop-title = The part that is shown
crop-whole = Whole image
crop-left = Left
crop-top = Top
crop-width = Width
crop-height = Height

# Conflict
conflict-title = The article was changed meanwhile
conflict-about = Somebody else saved first. Your change can be put on top if it touches other parts.
conflict-cannot = Both of you changed the same part. Decide whose words stay.
conflict-changed = What changed
conflict-own = What you wrote
conflict-merge = Put mine on top
conflict-mine = Mine replaces theirs
conflict-theirs = Drop mine
conflict-undo = Somebody else changed the article; this is what it is now. Try again.

# Export
export-title = Take it along
export-format = Format
export-save = Save { $format }
export-open = Open in a new tab
preview = Preview
format-html = Web page
format-md = Markdown
format-zip = Everything
format-json = Data
format-html-about = One page with its images inside.
format-md-about = The text with links to its images.
format-zip-about = Page, Markdown, data and the image files, zipped.
format-json-about = The article with the record of every choice.

# History
compare = What changed
compare-from = From version
compare-to = To version
back-to-article = Back to the article
go-back = Go back
go-to = Go back to version { $n }
head = Now
by-model = Model

# Libraries
libraries-none = There is no library yet. The first article makes the starter library; a folder of pictures becomes one with:
library-about = { $n } images, { $described } with captions of their own, { $licensed } with a known licence
library-search = What should the image show?
library-empty = There is no image in it.
own-library = Your own images
own-delete = Delete this image
own-delete-title = Delete this image?
shape = Shape
without-none = All images
without-caption = Without a caption
without-alt = Without an alternative text
without-credit = Without a credit
without-licence = Without a licence
without-count = { $n ->
    [one] { $n } image to fill in
   *[other] { $n } images to fill in
}
without-all = Nothing is left to fill in.
words-of = What is said of this image
words-edit = Write its caption
words-bare = Its file’s name for now. Enter saves and goes to the next image.
words-written = Written here.
words-reset = Take the folder’s again
fits-landscape = Landscape
fits-portrait = Portrait
