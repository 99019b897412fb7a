package = "demo"
version = "1.2-3"
source = { url = "https://example.org/demo.tar.gz" }
description = {
   summary = "A demo",
   license = "MIT"
}
dependencies = {
   "lua >= 5.1, < 5.5",
   'lpeg', "luasocket ~> 3.0"
}
