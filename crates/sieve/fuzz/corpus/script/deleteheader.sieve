require ["editheader","variables","regex"];
deleteheader :matches ["x-a","b"] "*";
redirect "a${1}@x.example";
