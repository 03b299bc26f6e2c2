// In place of linkify-it, which markdown-it makes one of but asks only with the option `linkify`.
export class LinkifyIt {}
