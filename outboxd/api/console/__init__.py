"""The operators' console: pages that the server renders, for people who hold a key with `admin`.

    door      which request is whose page; nobody without a session, nothing unsafe without the form's token
    signing   in and out: the cookie, and from where a key may be sent
    visit     who looks, what they ask, and how a page reads and writes on their behalf
    render    templates, and how times, numbers and JSON are shown
    figures   what the overview shows, read once for all who see the same
    live      the same, every two seconds, to everybody who has the page open

Each page is a module of its own. They call the store's functions with the caller that the key is, so a page
shows and does what the API would.
"""
