module groundwork/tools/service

go 1.24
