"""Documents that leave the screen: what stands on a page is data here, how it looks a Typst template beside it."""
